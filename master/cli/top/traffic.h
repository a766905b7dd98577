// What was served between two samples, by all and by each worker. Requests are what counters named
// *_requests_total count, latency is what histograms named *_request_seconds observe, whichever module they
// are of. Runs in: the command line.
#pragma once

#include "core/counters/histogram_counts.h"
#include "master/cli/top/sample.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace drover::top {

// What a column counts for.
enum class Share : std::uint8_t { nothing, requests, latency, accepted, bytes_in, bytes_out };
Share share_of(const CounterDeclaration& column) noexcept;

struct Traffic {
    std::uint64_t requests = 0;
    std::uint64_t accepted = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    HistogramCounts latency;

    // `cells` as CounterReader::WorkerRows has them.
    void add(const CounterDeclaration& column, Share share, std::span<const std::uint64_t> cells);
};

class TrafficBetween {
  public:
    // Both must stay.
    TrafficBetween(const Sample& before, const Sample& now);

    Traffic of_all() const;
    // Of one of now.workers; all that it has counted when it was not there before.
    Traffic of(const WorkerSample& worker) const;

  private:
    const Sample& before_;
    const Sample& now_;
    std::vector<Share> shares_;                                   // of the columns of now.rows
    std::vector<std::optional<std::size_t>> places_;              // of them in before.rows
    std::unordered_map<std::uint64_t, std::size_t> rows_before_;  // by instance
};

}  // namespace drover::top
