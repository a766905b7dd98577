// Histograms: what a module observes values with, and how values fall into buckets. The buckets are
// log-linear: each value below 16 has its own, and each doubling above is cut into eight, so that a bucket is
// known by the value's highest bits and a value is known from its bucket to 1/17 of itself.
//
// A histogram takes consecutive cells of its worker's row: the sum of all values, then a count for each
// bucket. To observe is a load and a store of the bucket's cell, and of the sum's. How many were observed is
// the sum of the buckets: a reader at any moment sees buckets and count that fit, and a sum that one
// observation under way in each worker may be missing from; one that is killed just then leaves it out for
// good. Runs in: worker (observes), every process (reads).
#pragma once

#include "core/counters/counter.h"
#include "core/counters/counter_declaration.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

namespace drover {

class HistogramScale {
  public:
    // Larger values count as this one, so that no mistaken one turns the sum round.
    static constexpr std::uint64_t largest = (std::uint64_t{1} << 48) - 1;

    // One bucket for all.
    constexpr HistogramScale() noexcept = default;
    constexpr explicit HistogramScale(HistogramBounds bounds) noexcept
        : first_(code(bounds.min)), last_(code(std::min(bounds.max, largest)) + 1) {
        last_ = std::max(first_, last_);
    }

    // The last one holds what is above the bounds.
    constexpr std::uint32_t buckets() const noexcept { return last_ - first_ + 1; }
    constexpr std::uint32_t cells() const noexcept { return buckets() + 1; }
    constexpr std::uint32_t bucket_of(std::uint64_t value) const noexcept {
        return std::clamp(code(value), first_, last_) - first_;
    }
    // The least value of a bucket, and the largest. The first bucket also holds what is below, the last what
    // is above.
    constexpr std::uint64_t least(std::uint32_t bucket) const noexcept { return start(first_ + bucket); }
    constexpr std::uint64_t most(std::uint32_t bucket) const noexcept {
        return start(first_ + bucket + 1) - 1;
    }
    // The value that is wrong by the smallest share for any in the bucket; of the last one, its least.
    constexpr double estimate(std::uint32_t bucket) const noexcept {
        const auto low = static_cast<double>(least(bucket));
        const auto high = static_cast<double>(most(bucket));
        if (low == 0 || bucket + 1 >= buckets()) return low;
        return 2 * low * high / (low + high);
    }

  private:
    static constexpr std::uint32_t steps = 8;  // a doubling
    static constexpr std::uint32_t step_bits = 3;

    static constexpr std::uint32_t code(std::uint64_t value) noexcept {
        const auto high_bit = static_cast<std::uint32_t>(63 - std::countl_zero(value | steps));
        const std::uint32_t shift = high_bit - step_bits;
        return shift * steps + static_cast<std::uint32_t>(value >> shift);
    }
    static constexpr std::uint64_t start(std::uint32_t code) noexcept {
        if (code < 2 * steps) return code;
        return std::uint64_t{code % steps + steps} << (code / steps - 1);
    }

    std::uint32_t first_ = 0;
    std::uint32_t last_ = 0;
};

class Histogram {
  public:
    Histogram() noexcept = default;
    // `cells` is the first of scale.cells().
    Histogram(std::uint64_t* cells, HistogramScale scale) noexcept : cells_(cells), scale_(scale) {}

    // Several of one value cost as much as one; value * times is to be below 2^64, or the sum goes round.
    void observe(std::uint64_t value, std::uint32_t times = 1) noexcept {
        value = std::min(value, HistogramScale::largest);
        Counter(cells_ + 1 + scale_.bucket_of(value)).add(times);
        Counter(cells_).add(value * times);
    }
    // This worker's own.
    std::uint64_t count() const noexcept;
    std::uint64_t sum() const noexcept { return Counter(cells_).value(); }

  private:
    std::uint64_t* cells_ = detail::unread_cells;
    HistogramScale scale_;
};

// The value that a share `q` (0 to 1) of what was observed does not exceed, within 6 % inside the bounds; 0
// when nothing was. `counts` has one for each bucket of the scale.
double quantile(HistogramScale scale, std::span<const std::uint64_t> counts, double q) noexcept;

}  // namespace drover
