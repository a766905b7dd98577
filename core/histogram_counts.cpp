#include "core/histogram_counts.h"

#include "core/histogram.h"

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

HistogramCounts HistogramCounts::since(const HistogramCounts& before) const {
    HistogramCounts difference = *this;
    if (before.bounds_ != bounds_ || before.per_unit_ != per_unit_) return difference;
    std::ranges::transform(counts_, before.counts_, difference.counts_.begin(),
                           [](auto now, auto then) { return now - std::min(now, then); });
    return difference;
}

std::optional<double> HistogramCounts::quantile(double q) const noexcept {
    if (std::ranges::all_of(counts_, [](std::uint64_t count) { return count == 0; })) return std::nullopt;
    return drover::quantile(HistogramScale(bounds_), counts_, q) / per_unit_;
}

}  // namespace drover
