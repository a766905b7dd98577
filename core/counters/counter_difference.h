// What was counted between two looks at the counter table, column by column. Sums over several columns cannot
// tell: a label that leaves the configuration takes its counts along, and one that comes back may bring its
// old total. Runs in: every process.
#pragma once

#include "core/counters/counter_reader.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace drover {

// What a cell has counted. One that began from nothing in between takes nothing back.
constexpr std::uint64_t counted_between(std::uint64_t before, std::uint64_t now) noexcept {
    return now < before ? 0 : now - before;
}

// Of each column of `now`: where in `before` it is; none: it is new.
std::vector<std::optional<std::size_t>> places_before(std::span<const CounterReader::Sum> before,
                                                      std::span<const CounterReader::Sum> now);

// The columns of `now` that were there `before`, with what was counted in between; gauges as they are now. A
// column that is new counts from its second look.
std::vector<CounterReader::Sum> counted_between(std::span<const CounterReader::Sum> before,
                                                std::span<const CounterReader::Sum> now);

}  // namespace drover
