// HistogramCounts are what the histograms of one name have observed together, whatever their labels. Runs in:
// every process.
#pragma once

#include "core/counters/counter_reader.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace drover {

class HistogramCounts {
  public:
    // One with other bounds or units than the first is left out.
    void add(const CounterDeclaration& histogram, std::span<const std::uint64_t> buckets);
    void add(const CounterReader::Sum& histogram) { add(histogram, histogram.buckets); }
    // In units; none when nothing was observed.
    std::optional<double> quantile(double q) const noexcept;

  private:
    HistogramBounds bounds_;
    std::uint32_t per_unit_ = 1;
    std::vector<std::uint64_t> counts_;  // of each bucket; empty: of no histogram yet
};

}  // namespace drover
