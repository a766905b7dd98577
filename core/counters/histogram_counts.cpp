#include "core/counters/histogram_counts.h"

#include "core/counters/histogram.h"

#include <algorithm>
#include <functional>

namespace drover {

void HistogramCounts::add(const CounterDeclaration& histogram, std::span<const std::uint64_t> buckets) {
    if (counts_.empty()) {
        bounds_ = histogram.bounds;
        per_unit_ = std::max(histogram.per_unit, 1U);
        counts_.resize(buckets.size());
    }
    if (histogram.bounds != bounds_ || std::max(histogram.per_unit, 1U) != per_unit_) return;
    std::ranges::transform(counts_, buckets, counts_.begin(), std::plus());
}

std::optional<double> HistogramCounts::quantile(double q) const noexcept {
    if (std::ranges::all_of(counts_, [](std::uint64_t count) { return count == 0; })) return std::nullopt;
    return drover::quantile(HistogramScale(bounds_), counts_, q) / per_unit_;
}

}  // namespace drover
