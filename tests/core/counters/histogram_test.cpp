#include "core/counters/histogram.h"

#include "tests/core/counters/counter_fixture.h"

#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using drover::test::CountingThread;

namespace {

double relative_error(double estimate, std::uint64_t value) {
    return std::abs(estimate - static_cast<double>(value)) / static_cast<double>(value);
}

}  // namespace

TEST_CASE("histogram: buckets follow each other without a gap, and each value falls into its own") {
    const HistogramScale scale({0, HistogramScale::largest});
    CHECK(scale.buckets() == 369);
    CHECK(scale.least(0) == 0);
    for (std::uint32_t bucket = 0; bucket + 1 < scale.buckets(); ++bucket) {
        CAPTURE(bucket);
        CHECK(scale.most(bucket) + 1 == scale.least(bucket + 1));
        CHECK(scale.bucket_of(scale.least(bucket)) == bucket);
        CHECK(scale.bucket_of(scale.most(bucket)) == bucket);
    }
    CHECK(scale.most(scale.buckets() - 2) == HistogramScale::largest);
    CHECK(scale.bucket_of(HistogramScale::largest + 1) == scale.buckets() - 1);
    CHECK(scale.bucket_of(~std::uint64_t{0}) == scale.buckets() - 1);
}

TEST_CASE("histogram: an estimate is at most 6 % from any value of its bucket") {
    const HistogramScale scale({0, HistogramScale::largest});
    double largest = 0;
    for (std::uint32_t bucket = 1; bucket + 1 < scale.buckets(); ++bucket) {
        largest = std::max(largest, relative_error(scale.estimate(bucket), scale.least(bucket)));
        largest = std::max(largest, relative_error(scale.estimate(bucket), scale.most(bucket)));
    }
    CHECK(largest <= 0.06);
    CHECK(largest > 0.05);
    for (std::uint32_t value = 0; value < 16; ++value)
        CHECK(scale.estimate(value) == value);
}

TEST_CASE("histogram: bounds cut the scale, and what is outside is kept apart or with the least") {
    const HistogramScale scale({100, 5000});
    CHECK(scale.bucket_of(0) == 0);
    CHECK(scale.bucket_of(99) == 0);
    CHECK(scale.bucket_of(100) == 0);
    CHECK(scale.least(0) <= 100);
    CHECK(scale.most(0) >= 100);
    CHECK(scale.bucket_of(5000) == scale.buckets() - 2);
    CHECK(scale.bucket_of(scale.most(scale.buckets() - 2) + 1) == scale.buckets() - 1);
    CHECK(scale.buckets() == 47);
    CHECK(scale.cells() == 48);
    CHECK(HistogramScale().buckets() == 1);
    CHECK(HistogramScale().bucket_of(4711) == 0);
}

TEST_CASE("histogram: an observation is one more in a bucket and its value in the sum") {
    const CountingThread thread;
    const HistogramScale scale({1, 1000});
    std::vector<std::uint64_t> cells(scale.cells());
    Histogram histogram(cells.data(), scale);
    histogram.observe(3);
    histogram.observe(3);
    histogram.observe(700);
    histogram.observe(0);
    histogram.observe(1'000'000);
    CHECK(histogram.count() == 5);
    CHECK(histogram.sum() == 1'000'706);
    CHECK(cells[0] == 1'000'706);
    CHECK(cells[1] == 1);
    CHECK(cells[3] == 2);
    CHECK(cells[1 + scale.bucket_of(700)] == 1);
    CHECK(cells.back() == 1);
    // A time that ran backwards, taken for a huge one, must not turn the sum round.
    for (int i = 0; i < 100; ++i)
        histogram.observe(~std::uint64_t{0});
    CHECK(histogram.sum() == 1'000'706 + 100 * HistogramScale::largest);
    CHECK(cells.back() == 101);
}

TEST_CASE("histogram: a default-constructed one observes where nobody reads") {
    REQUIRE(!detail::counting_thread);
    Histogram histogram;
    histogram.observe(5);
    CHECK(histogram.count() == 0);
    CHECK(histogram.sum() == 0);
}

TEST_CASE("histogram: quantiles are within 6 % of the true ones") {
    const HistogramScale scale({10, 60'000'000});
    std::mt19937_64 random(4711);
    for (const double spread : {0.3, 1.0, 2.5}) {
        std::lognormal_distribution<> times(std::log(2000.0), spread);
        std::vector<std::uint64_t> counts(scale.buckets());
        std::vector<std::uint64_t> values;
        for (int i = 0; i < 20'000; ++i) {
            values.push_back(10 + static_cast<std::uint64_t>(times(random)));
            ++counts[scale.bucket_of(values.back())];
        }
        std::ranges::sort(values);
        for (const double q : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999}) {
            const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(q * 20'000.0)));
            CAPTURE(spread);
            CAPTURE(q);
            CHECK(relative_error(quantile(scale, counts, q), values[rank - 1]) <= 0.06);
        }
    }
    CHECK(quantile(scale, std::vector<std::uint64_t>(scale.buckets()), 0.5) == 0);
    std::vector<std::uint64_t> above(scale.buckets());
    above.back() = 7;
    CHECK(quantile(scale, above, 0.5) >= 60'000'000);
}

TEST_CASE("histogram: several of one value at once") {
    const HistogramScale scale({1, 1000});
    std::vector<std::uint64_t> cells(scale.cells());
    const CountingThread here;
    Histogram histogram(cells.data(), scale);
    histogram.observe(10, 3);
    histogram.observe(10);
    CHECK(histogram.count() == 4);
    CHECK(histogram.sum() == 40);
}
