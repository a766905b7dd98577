// A histogram's sum, as a CounterReader would read it. Runs in: tests.
#pragma once

#include "core/counters/counter_reader.h"
#include "core/counters/histogram.h"

#include <cstdint>
#include <numeric>
#include <vector>

namespace drover::test {

inline CounterReader::Sum observed(CounterDeclaration declaration, const std::vector<std::uint64_t>& values) {
    CounterReader::Sum sum;
    static_cast<CounterDeclaration&>(sum) = std::move(declaration);
    sum.kind = CounterKind::histogram;
    const HistogramScale scale(sum.bounds);
    sum.buckets.resize(scale.buckets());
    for (const std::uint64_t value : values)
        ++sum.buckets[scale.bucket_of(value)];
    sum.value = values.size();
    sum.sum = std::accumulate(values.begin(), values.end(), std::uint64_t{0});
    return sum;
}

}  // namespace drover::test
