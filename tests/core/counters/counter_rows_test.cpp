// What single workers have counted, also in cells that have changed hands.
#include "core/counters/histogram.h"
#include "tests/core/counters/counter_fixture.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

const CounterDeclaration spent{.name = "request_seconds",
                               .kind = CounterKind::histogram,
                               .unit = "seconds",
                               .bounds = {.min = 1, .max = 100},
                               .per_unit = 1000};

bool any(const CounterDeclaration&) {
    return true;
}

}  // namespace

TEST_CASE("counter_rows: what workers have counted, each in its own row") {
    CounterTable table({.cells = 64, .rows = 6});
    declare(table, 1, {requests, spent, active});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    CHECK(reader.worker_rows(any).rows.empty());
    const std::uint32_t first = take(table, 1);
    REQUIRE(table.take_row({.instance = 9, .generation = 1, .pool = "", .slot = 0}).has_value());
    const CounterRow worker = map(table, first, 1);
    worker.counter("requests_total").add(5);
    map(table, take(table, 2), 2).counter("requests_total").add(7);
    worker.histogram("request_seconds", spent.bounds).observe(9);
    worker.histogram("request_seconds", spent.bounds).observe(9);
    worker.gauge("connections").set(3);
    const CounterReader::WorkerRows all = reader.worker_rows(any);
    REQUIRE(all.rows.size() == 2);
    REQUIRE(all.columns.size() == 3);
    CHECK(all.rows[0].instance == 1);
    CHECK(all.rows[1].instance == 2);
    CHECK(all.columns[0].name == "requests_total");
    CHECK(all.of(0, 0)[0] == 5);
    CHECK(all.of(1, 0)[0] == 7);
    CHECK(all.of(0, 1)[0] == 18);
    CHECK(all.of(0, 1).subspan(1)[HistogramScale(spent.bounds).bucket_of(9)] == 2);
    CHECK(all.of(0, 1).size() == cells_of(spent));
    CHECK(all.of(0, 2)[0] == 3);
    CHECK(all.counts_from_nothing(0, 0));

    const CounterReader::WorkerRows some = reader.worker_rows(
        [](const CounterDeclaration& column) { return column.kind != CounterKind::histogram; });
    REQUIRE(some.columns.size() == 2);
    CHECK(some.row_size == 2);
    CHECK(some.of(0, 1)[0] == 3);
    CHECK(some.of(1, 0)[0] == 7);

    table.fold(first);
    REQUIRE(reader.worker_rows(any).rows.size() == 1);
    CHECK(reader.worker_rows(any).of(0, 0)[0] == 7);
}

TEST_CASE("counter_rows: of reused cells nobody is said to have counted what a former column holds") {
    CounterTable table({.cells = 2, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    declare(table, 1, {named("a_total"), requests});
    const std::uint32_t old = take(table, 1);
    const CounterRow worker = map(table, old, 1);
    worker.counter("a_total").add(1000);
    worker.counter("requests_total").add(5);
    declare(table, 2, {requests});
    table.set_row_generation(old, 2);
    table.forget(1);
    table.set_older_generations(old, 2, {});
    declare(table, 3, {requests, named("b_total")});
    table.set_row_generation(old, 3);
    map(table, take(table, 2, 3), 2).counter("b_total").add(4);
    worker.counter("b_total").add(3);

    CHECK(reader.sum("b_total") == 7);
    CHECK_FALSE(reader.value_of(1, "b_total").has_value());
    CHECK(reader.value_of(2, "b_total") == 4);
    CHECK(reader.value_of(1, "requests_total") == 5);
    const auto workers = reader.each_worker("b_total");
    REQUIRE(workers.size() == 1);
    CHECK(workers[0].instance == 2);
    CHECK(workers[0].value == 4);

    const CounterReader::WorkerRows before = reader.worker_rows(any);
    REQUIRE(before.rows.size() == 2);
    CHECK(before.columns[0].name == "b_total");
    CHECK_FALSE(before.counts_from_nothing(0, 0));
    CHECK(before.counts_from_nothing(0, 1));
    CHECK(before.counts_from_nothing(1, 0));
    worker.counter("b_total").add(8);
    CHECK(reader.worker_rows(any).of(0, 0)[0] - before.of(0, 0)[0] == 8);

    // Whoever takes the row next begins with nothing.
    table.fold(old);
    CHECK(reader.sum("b_total") == 15);
    map(table, take(table, 3, 3), 3).counter("b_total").add(2);
    CHECK(reader.value_of(3, "b_total") == 2);
}

TEST_CASE("counter_rows: reused cells that nobody living has counted in are everybody's own") {
    CounterTable table({.cells = 1, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    declare(table, 1, {named("a_total")});
    count_and_fold(table, 1, 1, "a_total", 1000);
    declare(table, 2, {});
    const std::uint32_t idle = take(table, 2, 2);
    table.forget(1);
    declare(table, 2, {named("b_total")});
    map(table, idle, 2).counter("b_total").add(3);
    CHECK(reader.value_of(2, "b_total") == 3);
    CHECK(reader.sum("b_total") == 3);
}
