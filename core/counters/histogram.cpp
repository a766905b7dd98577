#include "core/counters/histogram.h"

#include <algorithm>
#include <cmath>

namespace drover {

std::uint64_t Histogram::count() const noexcept {
    std::uint64_t count = 0;
    for (std::uint32_t bucket = 0; bucket < scale_.buckets(); ++bucket)
        count += Counter(cells_ + 1 + bucket).value();
    return count;
}

double quantile(HistogramScale scale, std::span<const std::uint64_t> counts, double q) noexcept {
    std::uint64_t all = 0;
    for (const std::uint64_t count : counts)
        all += count;
    if (all == 0) return 0;
    // Counts that somebody falsified may be near 2^64, which no integer can be made of.
    const double rank = std::min(std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(all)), 0x1p63);
    const std::uint64_t wanted = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(rank), 1, all);
    std::uint64_t below = 0;
    for (std::uint32_t bucket = 0; bucket < counts.size(); ++bucket) {
        below += counts[bucket];
        if (below >= wanted) return scale.estimate(bucket);
    }
    return 0;
}

}  // namespace drover
