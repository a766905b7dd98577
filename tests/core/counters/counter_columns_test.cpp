// Columns with labels, histograms, and cells that change hands.
#include "tests/core/counters/counter_fixture.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

CounterDeclaration labelled(const std::string& route, CounterKind kind = CounterKind::counter) {
    return {.name = "route_requests",
            .kind = kind,
            .unit = "requests",
            .help = "By route.",
            .labels = {{"route", route}, {"code", "2xx"}}};
}

}  // namespace

TEST_CASE("counter_columns: labels make columns of their own, which come and go with generations") {
    CounterTable table({.cells = 8, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    declare(table, 1, {labelled("/a"), labelled("/b")});
    const std::uint32_t row = take(table, 1);
    const CounterRow worker = map(table, row, 1);
    worker.counter("route_requests", {{"route", "/a"}, {"code", "2xx"}}).add(3);
    worker.counter("route_requests", {{"route", "/b"}, {"code", "2xx"}}).add(4);
    CHECK(reader.sum("route_requests") == 7);
    CHECK_THROWS_AS((void)worker.counter("route_requests"), std::out_of_range);
    CHECK_THROWS_AS((void)worker.counter("route_requests", {{"route", "/c"}, {"code", "2xx"}}),
                    std::out_of_range);
    REQUIRE(reader.sums().size() == 2);
    CHECK(reader.sums()[1].labels == labelled("/b").labels);
    CHECK(reader.sums()[1].text() == R"(route_requests{route="/b",code="2xx"})");
    CHECK(reader.sums()[1].value == 4);

    // The next generation has another route more and one less; the worker stays.
    declare(table, 2, {labelled("/a"), labelled("/c")});
    table.set_row_generation(row, 2);
    Counter next = worker.counter("route_requests", {{"route", "/c"}, {"code", "2xx"}});
    table.forget(1);
    next.add(10);
    REQUIRE(reader.sums().size() == 2);
    CHECK(reader.sums()[0].value == 3);
    CHECK(reader.sums()[1].value == 10);
    CHECK(reader.sum("route_requests") == 13);
    // The one that was gone comes back and goes on.
    declare(table, 3, {labelled("/b"), labelled("/a")});
    CHECK(reader.sum("route_requests") == 17);
}

TEST_CASE(
    "counter_columns: cells that a living worker has counted in start from nothing under another name") {
    CounterTable table({.cells = 2, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    declare(table, 1, {labelled("/a"), requests});
    const std::uint32_t row = take(table, 1);
    const CounterRow worker = map(table, row, 1);
    worker.counter("route_requests", labelled("/a").labels).add(1000);
    worker.counter("requests_total").add(5);
    declare(table, 2, {requests});
    table.set_row_generation(row, 2);
    table.forget(1);
    CHECK_FALSE(length_error_of(table, 3, {requests, labelled("/b")}).empty());
    // What it said before it went over says nothing of what it held then.
    table.set_older_generations(row, 1, {});
    CHECK_FALSE(length_error_of(table, 3, {requests, labelled("/b")}).empty());
    table.set_older_generations(row, 2, std::array<std::uint64_t, 1>{1});
    CHECK_FALSE(length_error_of(table, 3, {requests, labelled("/b")}).empty());
    table.set_older_generations(row, 2, {});
    declare(table, 3, {requests, labelled("/b")});
    table.set_row_generation(row, 3);
    table.forget(2);
    CHECK(reader.sum("route_requests") == 0);
    worker.counter("route_requests", labelled("/b").labels).add(7);
    CHECK(reader.sum("route_requests") == 7);
    table.fold(row);
    CHECK(reader.sum("route_requests") == 7);
    count_and_fold(table, 2, 3, "requests_total", 1);
    CHECK(reader.sum("route_requests") == 7);
    CHECK(reader.sum("requests_total") == 6);
    // A gauge has no total that could make up for it.
    const std::uint32_t another = take(table, 3, 3);
    map(table, another, 3).counter("route_requests", labelled("/b").labels).add(1);
    declare(table, 4, {requests});
    table.set_row_generation(another, 4);
    table.forget(3);
    table.set_older_generations(another, 4, {});
    CHECK_FALSE(length_error_of(table, 5, {active}).empty());
    table.fold(another);
    declare(table, 5, {active});
    CHECK(reader.sum("connections") == 0);
}

TEST_CASE("counter_columns: a histogram takes the cells of several retired columns") {
    CounterTable table({.cells = 20, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    std::vector<CounterDeclaration> many;
    for (int i = 0; i < 20; ++i)
        many.push_back(named("c" + std::to_string(i)));
    declare(table, 1, many);
    declare(table, 2, {many[3]});
    const std::uint32_t row = take(table, 1, 1);
    const CounterRow worker = map(table, row, 1);
    for (const CounterDeclaration& one : many)
        worker.counter(one.name).add(100);
    table.set_row_generation(row, 2);
    table.set_older_generations(row, 2, {});
    table.forget(1);
    const CounterDeclaration sizes{.name = "sizes", .kind = CounterKind::histogram, .bounds = {1, 10}};
    REQUIRE(cells_of(sizes) == 12);
    declare(table, 3, {many[3], sizes});
    table.set_row_generation(row, 3);
    CHECK(reader.sums().size() == 2);
    Histogram observed = worker.histogram("sizes", sizes.bounds);
    observed.observe(4);
    observed.observe(10);
    observed.observe(11);
    const auto check = [&] {
        CHECK(reader.sum("c3") == 100);
        CHECK(reader.sum("sizes") == 3);
        CHECK(reader.sums()[1].sum == 25);
        CHECK(reader.sums()[1].value == 3);
        CHECK(reader.sums()[1].buckets == std::vector<std::uint64_t>{0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1});
    };
    check();
    table.fold(row);
    check();
    CHECK_THROWS_AS((void)map(table, take(table, 2, 3), 2).histogram("sizes", {1, 11}), std::out_of_range);
}

TEST_CASE("counter_columns: a declaration that is wrong is refused") {
    CounterTable table({.cells = 600, .rows = 4});
    const auto refused = [&table](const CounterDeclaration& declaration) {
        try {
            declare(table, 1, {declaration});
        } catch (const std::invalid_argument& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    CounterDeclaration histogram{.name = "h", .kind = CounterKind::histogram, .bounds = {1, 100}};
    CHECK(refused(histogram).empty());
    histogram.bounds = {100, 100};
    CHECK_FALSE(refused(histogram).empty());
    histogram.bounds = {0, std::uint64_t{1} << 48};
    CHECK_FALSE(refused(histogram).empty());
    CHECK_FALSE(refused({.name = "c", .bounds = {1, 2}}).empty());
    CHECK_FALSE(refused({.name = "c", .scope = CounterScope::worker}).empty());
    CHECK_FALSE(refused({.name = "c", .per_unit = 0}).empty());
    CHECK(refused({.name = "g", .kind = CounterKind::gauge, .scope = CounterScope::worker}).empty());
    CHECK_FALSE(refused({.name = "g",
                         .kind = CounterKind::gauge,
                         .labels = {{"slot", "1"}},
                         .scope = CounterScope::worker})
                    .empty());
    const auto with = [](std::vector<CounterLabel> labels) {
        return CounterDeclaration{.name = "c", .labels = std::move(labels)};
    };
    CHECK(refused(with({{"a", ""}, {"b", "\"x\\"}, {"pool", "main"}})).empty());
    CHECK(refused(with({{"a", std::string(239, 'v')}})).empty());
    CHECK(refused(with({{"a", std::string(240, 'v')}})).starts_with("counter c{a="));
    CHECK(refused(with({{"a", "new\nline"}})).find("is not one line of UTF-8") != std::string::npos);
    CHECK_FALSE(refused(with({{"a", "\xff"}})).empty());
    CHECK_FALSE(refused(with({{"a", "\xc2\x9b"}})).empty());  // U+009B, which a terminal obeys
    CHECK_FALSE(refused(with({{"le", "1"}})).empty());
    CHECK_FALSE(refused(with({{"a-b", "1"}})).empty());
    CHECK_FALSE(refused(with({{"", "1"}})).empty());
    CHECK_FALSE(refused(with({{"a", "1"}, {"a", "2"}})).empty());
    CHECK_FALSE(refused(with(std::vector<CounterLabel>(9, {"a", "1"}))).empty());
    CounterDeclaration owned = histogram;
    owned.bounds = {0, HistogramScale::largest};
    owned.name = "huge";
    owned.owner = "module.http";
    declare(table, 2, {{.name = "more", .kind = CounterKind::histogram, .bounds = owned.bounds}});
    CHECK(length_error_of(table, 3, {owned}) ==
          "no room for histogram huge of module.http: it takes 370 of 600 cells, and 411 are in use");
}

TEST_CASE("counter_columns: each worker's own figure, with who it is") {
    CounterTable table({.cells = 8, .rows = 4});
    declare(table, 1, {active});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    const auto first = table.take_row({.instance = 5, .generation = 1, .pool = "main", .slot = 1});
    const auto second = table.take_row({.instance = 6, .generation = 1, .pool = "", .slot = 0});
    REQUIRE(second.has_value());
    table.set_row_pid(*first, 4711);
    map(table, *first, 5).gauge("connections").set(-2);
    const auto workers = reader.each_worker("connections");
    REQUIRE(workers.size() == 1);
    CHECK(workers[0].pool == "main");
    CHECK(workers[0].slot == 1);
    CHECK(workers[0].pid == 4711);
    CHECK(workers[0].instance == 5);
    CHECK(workers[0].generation == 1);
    CHECK(workers[0].value == -2);
    table.fold(*first);
    CHECK(reader.each_worker("connections").empty());
    CHECK(reader.each_worker("nothing").empty());
}
