#include "core/counters/counter_difference.h"

#include "tests/core/counters/counter_fixture.h"
#include "tests/support/observed.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

CounterReader::Sum counted(const std::string& route, std::uint64_t value) {
    CounterReader::Sum sum;
    static_cast<CounterDeclaration&>(sum) = requests;
    sum.labels = {{"route", route}};
    sum.value = value;
    return sum;
}

CounterReader::Sum took(const std::vector<std::uint64_t>& values, HistogramBounds bounds = {1, 1000}) {
    return observed({.name = "request_seconds", .bounds = bounds, .per_unit = 1000}, values);
}

}  // namespace

TEST_CASE("counter_difference: of each column what was counted in between") {
    const std::vector before = {counted("/a", 5), took({3, 900}), counted("/b", 7)};
    const std::vector now = {counted("/a", 5), took({3, 3, 900, 20}), counted("/b", 17)};
    const auto between = counted_between(before, now);
    REQUIRE(between.size() == 3);
    CHECK(between[0].value == 0);
    CHECK(between[1].value == 2);
    CHECK(between[1].sum == 23);
    CHECK(between[1].buckets == took({3, 20}).buckets);
    CHECK(between[1].per_unit == 1000);
    CHECK(between[2].text() == now[2].text());
    CHECK(between[2].value == 10);
}

TEST_CASE("counter_difference: a column that comes, goes or comes back with its past counts for nothing") {
    const std::vector with = {counted("/a", 10), counted("/c", 1'000'000)};
    const std::vector without = {counted("/a", 12)};
    const std::vector again = {counted("/a", 15), counted("/c", 1'000'000)};
    const std::vector on = {counted("/a", 15), counted("/c", 1'000'003)};
    REQUIRE(counted_between(with, without).size() == 1);
    CHECK(counted_between(with, without)[0].value == 2);
    REQUIRE(counted_between(without, again).size() == 1);
    CHECK(counted_between(without, again)[0].value == 3);
    REQUIRE(counted_between(again, on).size() == 2);
    CHECK(counted_between(again, on)[1].value == 3);
    CHECK(counted_between({}, on).empty());
}

TEST_CASE("counter_difference: columns are found wherever they are, by all that tells them apart") {
    const std::vector before = {counted("/a", 1), took({5}), counted("/b", 2)};
    const std::vector now = {counted("/b", 4), took({5, 5}, {1, 500}), counted("/a", 4)};
    CHECK(places_before(before, now) == std::vector<std::optional<std::size_t>>{2, std::nullopt, 0});
    const auto between = counted_between(before, now);
    REQUIRE(between.size() == 2);
    CHECK(between[0].value == 2);
    CHECK(between[1].value == 3);
}

TEST_CASE("counter_difference: what began from nothing takes nothing back, gauges are as they are") {
    CounterReader::Sum gauge;
    static_cast<CounterDeclaration&>(gauge) = active;
    gauge.value = 9;
    CounterReader::Sum lower = gauge;
    lower.value = 4;
    const std::vector before = {counted("/a", 100), took({1, 1, 1}), gauge};
    const std::vector now = {counted("/a", 3), took({1, 50}), lower};
    const auto between = counted_between(before, now);
    REQUIRE(between.size() == 3);
    CHECK(between[0].value == 0);
    CHECK(between[1].value == 1);
    CHECK(between[2].gauge() == 4);
}
