#include "core/counters/histogram_counts.h"

#include "tests/support/observed.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

constexpr HistogramBounds bounds{.min = 1, .max = 60'000'000};

CounterReader::Sum microseconds(const std::vector<std::uint64_t>& values, HistogramBounds in = bounds) {
    return observed({.name = "request_seconds", .bounds = in, .per_unit = 1'000'000}, values);
}

HistogramCounts counts_of(const std::vector<CounterReader::Sum>& histograms) {
    HistogramCounts counts;
    for (const CounterReader::Sum& histogram : histograms)
        counts.add(histogram);
    return counts;
}

}  // namespace

TEST_CASE("quantiles are of all histograms together, in units") {
    const HistogramCounts counts =
        counts_of({microseconds({1000, 5000, 5000}), microseconds({1000, 90'000})});
    CHECK(counts.quantile(0.5).value() == doctest::Approx(0.005).epsilon(0.07));
    CHECK(counts.quantile(0.99).value() == doctest::Approx(0.090).epsilon(0.07));
    CHECK(counts.quantile(0).value() == doctest::Approx(0.001).epsilon(0.07));
    CHECK_FALSE(counts_of({}).quantile(0.5).has_value());
    CHECK_FALSE(counts_of({microseconds({})}).quantile(0.5).has_value());
}

TEST_CASE("what is measured otherwise is left out") {
    const HistogramBounds other{.min = 1, .max = 1000};
    const HistogramCounts counts = counts_of({microseconds({5000}), microseconds({1, 1, 1}, other)});
    CHECK(counts.quantile(0).value() == doctest::Approx(0.005).epsilon(0.07));
}
