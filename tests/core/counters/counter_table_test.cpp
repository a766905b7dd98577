#include "tests/core/counters/counter_fixture.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

using namespace drover;
using namespace drover::test;

namespace {

const CounterDeclaration sent_bytes{"bytes_total", CounterKind::counter, "bytes", "Bytes sent."};

}  // namespace

TEST_CASE("counter_table: counts of live and dead workers are added up, gauges of the dead are dropped") {
    CounterTable table({.cells = 8, .rows = 4});
    declare(table, 1, {requests, active});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    const std::uint32_t first = take(table, 101);
    const std::uint32_t second = take(table, 102);
    CHECK(first != second);
    const CounterRow one = map(table, first, 101);
    const CounterRow two = map(table, second, 102);
    one.counter("requests_total").add(5);
    two.counter("requests_total").add(7);
    one.gauge("connections").set(3);
    two.gauge("connections").add(-1);

    CHECK(reader.sum("requests_total") == 12);
    CHECK(reader.sum("connections") == 2);
    CHECK(reader.value_of(101, "requests_total") == 5);
    CHECK(reader.value_of(102, "connections") == ~std::uint64_t{0});

    table.fold(first);
    CHECK(reader.sum("requests_total") == 12);
    CHECK(static_cast<std::int64_t>(reader.sum("connections")) == -1);
    CHECK_FALSE(reader.value_of(101, "requests_total").has_value());
    CHECK(reader.value_of(102, "requests_total") == 7);

    table.fold(first);
    CHECK(reader.sum("requests_total") == 12);
    table.fold(second);
    CHECK(reader.sum("requests_total") == 12);
    CHECK(reader.sum("connections") == 0);

    const std::vector<CounterReader::Sum> sums = reader.sums();
    REQUIRE(sums.size() == 2);
    CHECK(sums[0].name == "requests_total");
    CHECK(sums[0].kind == CounterKind::counter);
    CHECK(sums[0].unit == "requests");
    CHECK(sums[0].help == "Requests answered.");
    CHECK(sums[0].value == 12);
    CHECK(sums[1].kind == CounterKind::gauge);
}

TEST_CASE("counter_table: a reader of nothing, of unknown names and instances") {
    CounterTable table({.cells = 8, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    CHECK(reader.sums().empty());
    CHECK(reader.sum("requests_total") == 0);
    CHECK_FALSE(reader.find_column("requests_total", CounterKind::counter).has_value());
    declare(table, 1, {requests});
    CHECK(reader.find_column("requests_total", CounterKind::counter) == 0);
    CHECK_FALSE(reader.find_column("requests_total", CounterKind::gauge).has_value());
    CHECK_FALSE(reader.value_of(9, "requests_total").has_value());
    CHECK_FALSE(reader.value_of(0, "requests_total").has_value());
    take(table, 9);
    CHECK(reader.value_of(9, "requests_total") == 0);
    CHECK_FALSE(reader.value_of(9, "bytes_total").has_value());
    CHECK(reader.row_count() == 4);
}

TEST_CASE("counter_table: rows are taken, run out, and are new each time") {
    CounterTable table({.cells = 600, .rows = 3});
    declare(table, 1, {requests, active});
    std::vector<std::uint32_t> rows;
    for (std::uint64_t instance = 1; instance <= 3; ++instance)
        rows.push_back(take(table, instance));
    CHECK_FALSE(table.take_row({4, 1, "main", 0}).has_value());
    {
        const CounterRow row = map(table, rows[1], 2);
        row.counter("requests_total").add(40);
        row.gauge("connections").set(40);
    }
    table.set_row_pid(rows[1], 4711);
    table.fold(rows[1]);
    const std::uint32_t again = take(table, 5);
    CHECK(again == rows[1]);
    const CounterRow row = map(table, again, 5);
    CHECK(row.counter("requests_total").value() == 0);
    CHECK(row.gauge("connections").value() == 0);
    CHECK(CounterReader(table.read_only_fd(), table.row_source()).sum("requests_total") == 40);
}

TEST_CASE("counter_table: a row is memory of its own, sealed in size, as far as there are columns") {
    CounterTable table({.cells = 2000, .rows = 64});
    const auto status_of = [](int fd) {
        struct stat status {};
        REQUIRE(::fstat(fd, &status) == 0);
        return status;
    };
    declare(table, 1, {requests});
    const blkcnt_t before = status_of(table.read_only_fd()).st_blocks;
    const CounterReader reader(table.read_only_fd(), table.row_source());
    table.fold(7);
    const std::uint32_t row = take(table, 1);
    const int fd = table.row_fd(row);
    CHECK(::fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW));
    CHECK((status_of(fd).st_mode & 07777) == 0600);
    CHECK(status_of(fd).st_size == 16384);
    CHECK(status_of(fd).st_blocks * 512 == 4096);
    const ino_t first = status_of(fd).st_ino;
    std::vector<CounterDeclaration> many;
    for (int i = 0; i < 600; ++i)
        many.push_back(named("c" + std::to_string(i)));
    declare(table, 2, many);
    CHECK(status_of(fd).st_blocks * 512 == 8192);
    map(table, row, 1).counter("c599").add(3);
    (void)reader.sums();
    CHECK(status_of(table.read_only_fd()).st_blocks > before);
    table.fold(row);
    const std::uint32_t again = take(table, 2);
    CHECK(again == row);
    CHECK(status_of(table.row_fd(again)).st_ino != first);
    CHECK(map(table, again, 2).counter("c599").value() == 0);
    CHECK(reader.sum("c599") == 3);
}

TEST_CASE("counter_table: a descendant that keeps the row of the dead counts for nobody") {
    CounterTable table({.cells = 8, .rows = 4});
    declare(table, 1, {requests});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    const std::uint32_t row = take(table, 1);
    const CounterRow kept = map(table, row, 1);
    kept.counter("requests_total").add(5);
    CHECK(reader.sum("requests_total") == 5);
    table.fold(row);
    kept.counter("requests_total").add(1000);
    CHECK(reader.sum("requests_total") == 5);
    map(table, take(table, 2), 2).counter("requests_total").add(2);
    CHECK(reader.sum("requests_total") == 7);
    CHECK_FALSE(reader.value_of(1, "requests_total").has_value());
}

TEST_CASE("counter_table: a reader is given rows in batches, and asks again when some have come") {
    CounterTable table({.cells = 8, .rows = 200});
    declare(table, 1, {requests});
    const CounterReader reader(table.read_only_fd());
    CHECK_FALSE(reader.rows_wanted().has_value());
    for (std::uint64_t instance = 1; instance <= 40; ++instance)
        map(table, take(table, instance), instance).counter("requests_total").add();
    CHECK(reader.sum("requests_total") == 0);
    std::vector<std::size_t> batches;
    const auto bring = [&] {
        while (const auto after = reader.rows_wanted()) {
            RowBatch batch = table.rows_after(*after);
            batches.push_back(batch.rows.size());
            for (const RowBatch::Row& row : batch.rows)
                CHECK((::fcntl(row.fd.get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
            reader.attach(std::move(batch));
        }
    };
    bring();
    CHECK(batches == std::vector<std::size_t>{16, 16, 8});
    CHECK(reader.sum("requests_total") == 40);
    // Who goes is known without help.
    table.fold(10);
    CHECK(reader.sum("requests_total") == 40);
    CHECK_FALSE(reader.value_of(11, "requests_total").has_value());
    map(table, take(table, 41), 41).counter("requests_total").add();
    CHECK(reader.sum("requests_total") == 40);
    batches.clear();
    bring();
    CHECK(batches == std::vector<std::size_t>{1});
    CHECK(reader.sum("requests_total") == 41);
    // A batch that comes twice counts once.
    reader.attach(table.rows_after(0));
    CHECK(reader.sum("requests_total") == 41);
}

TEST_CASE("counter_table: what is no row of the table is refused by a reader") {
    CounterTable table({.cells = 8, .rows = 4});
    const CounterReader reader(table.read_only_fd());
    const auto attach = [&reader](std::uint32_t row, UniqueFd fd) {
        RowBatch batch{.sequence = 1, .rows = {}};
        batch.rows.push_back({{.order = 1, .instance = 1, .row = row}, std::move(fd)});
        reader.attach(std::move(batch));
    };
    CHECK_THROWS_AS(attach(0, create_memfd("counter-row-test", 4096, true)), std::runtime_error);
    CHECK_THROWS_AS(attach(0, reopen_read_only(table.read_only_fd())), std::runtime_error);
    CHECK_THROWS_AS(attach(0, UniqueFd()), std::system_error);
    take(table, 1);
    CHECK_THROWS_AS(attach(4, reopen_read_only(table.row_fd(0))), std::runtime_error);
    attach(0, reopen_read_only(table.row_fd(0)));
}

TEST_CASE("counter_table: a batch of rows as text, and back") {
    CounterTable table({.cells = 8, .rows = 4});
    take(table, 7);
    take(table, 9);
    const std::string text = row_batch_text(table.rows_after(0));
    CHECK(text == "2\n1 7 0\n2 9 1\n");
    std::vector<UniqueFd> fds(2);
    const RowBatch batch = parse_row_batch(text, std::move(fds));
    CHECK(batch.sequence == 2);
    CHECK(batch.rows.at(1).ticket.instance == 9);
    CHECK(batch.rows.at(1).ticket.row == 1);
    for (const char* garbage : {"", "2", "x\n", "2\n1 7", "2\n1 7 0\n", "2\n1 7 0\n2 9 1\n3 9 2\n"})
        CHECK_THROWS_AS((void)parse_row_batch(garbage, std::vector<UniqueFd>(2)), std::runtime_error);
}

TEST_CASE("counter_table: a name keeps its column while any generation declares it") {
    CounterTable table({.cells = 8, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    const auto index = [&](const char* name) { return reader.find_column(name, CounterKind::counter); };
    declare(table, 1, {requests, sent_bytes});
    declare(table, 2, {sent_bytes, active, requests, sent_bytes});
    CHECK(index("requests_total") == 0);
    CHECK(index("bytes_total") == 1);
    CHECK(reader.sums().size() == 3);
    table.forget(1);
    CHECK(index("requests_total") == 0);
    CHECK(index("bytes_total") == 1);
    // A second call adds to the first.
    declare(table, 2, {named("more_total")});
    table.forget(1);
    CHECK(reader.sums().size() == 4);
    // The newest declaration has the say on the text.
    declare(table, 3, {{"requests_total", CounterKind::counter, "replies", "Other words."}});
    CHECK(reader.sums()[0].help == "Other words.");
    CHECK(reader.sums()[0].unit == "replies");
    table.forget(2);
    CHECK(reader.sums().size() == 4);
    table.forget(2);
    CHECK(reader.sums().size() == 1);
    // Another kind is another column.
    declare(table, 4, {{"requests_total", CounterKind::gauge, "", ""}});
    CHECK(reader.find_column("requests_total", CounterKind::gauge) != index("requests_total"));
}

TEST_CASE("counter_table: a retired name that comes back continues from its total") {
    CounterTable table({.cells = 2, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    declare(table, 1, {requests});
    count_and_fold(table, 1, 1, "requests_total", 10);
    table.forget(1);
    CHECK(reader.sums().empty());
    CHECK(reader.sum("requests_total") == 0);
    declare(table, 2, {named("x_total")});
    count_and_fold(table, 2, 2, "x_total", 1);
    // A new name does not take the column of one that comes back with it.
    CHECK(length_error_of(table, 3, {named("y_total"), requests}) ==
          "no room for counter y_total: it takes 1 of 2 cells, and 2 are in use");
    declare(table, 3, {requests});
    CHECK(reader.sum("requests_total") == 10);
    CHECK(reader.sum("x_total") == 1);
}

TEST_CASE("counter_table: a reused column starts from nothing, on both sides of the flip") {
    CounterTable table({.cells = 1, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    std::uint64_t instance = 0;
    for (std::uint64_t generation = 1; generation <= 6; ++generation) {
        const std::string name = "n" + std::to_string(generation) + "_total";
        declare(table, generation, {named(name)});
        CHECK(reader.sum(name) == 0);
        // An odd and an even number of folds.
        for (std::uint64_t i = 0; i < 1 + generation % 3; ++i) {
            count_and_fold(table, ++instance, generation, name.c_str(), 100);
        }
        CHECK(reader.sum(name) == 100 * (1 + generation % 3));
        table.forget(generation);
    }
}

TEST_CASE("counter_table: a retired column is not reused while a row may count in it") {
    CounterTable table({.cells = 1, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    declare(table, 1, {requests});
    SUBCASE("a row of its generation") {
        const std::uint32_t row = take(table, 1, 1);
        table.forget(1);
        CHECK(length_error_of(table, 2, {sent_bytes}) ==
              "no room for counter bytes_total: it takes 1 of 1 cells, and 1 are in use");
        // Requests that began with the old configuration may still count by it.
        declare(table, 2, {});
        table.set_row_generation(row, 2);
        CHECK_FALSE(length_error_of(table, 2, {sent_bytes}).empty());
        table.set_older_generations(row, 2, {});
    }
    SUBCASE("a row of an unknown generation") {
        const std::uint32_t row = take(table, 1, 77);
        table.forget(1);
        CHECK_FALSE(length_error_of(table, 2, {sent_bytes}).empty());
        table.fold(row);
    }
    declare(table, 2, {});
    declare(table, 2, {sent_bytes});
    CHECK(reader.find_column("bytes_total", CounterKind::counter) == 0);
    CHECK(reader.sum("bytes_total") == 0);
}

TEST_CASE(
    "counter_table: a row of an unknown generation does not keep columns from anybody that were never used") {
    CounterTable table({.cells = 3, .rows = 4});
    REQUIRE(table.take_row({.instance = 1, .generation = 0, .pool = "", .slot = 0}).has_value());
    declare(table, 1, {requests, named("b_total")});
    CHECK(CounterReader(table.read_only_fd()).sums().size() == 2);
}

TEST_CASE("counter_table: a refused declaration changes nothing and names the first without room") {
    CounterTable table({.cells = 3, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    declare(table, 1, {requests});
    count_and_fold(table, 1, 1, "requests_total", 10);
    CHECK(
        length_error_of(table, 2, {named("a_total"), named("b_total"), named("c_total"), named("d_total")}) ==
        "no room for counter c_total: it takes 1 of 3 cells, and 3 are in use");
    CHECK(reader.sums().size() == 1);
    for (const CounterDeclaration& too_long :
         {CounterDeclaration{std::string(96, 'n'), CounterKind::counter, "", ""},
          CounterDeclaration{"a", CounterKind::counter, std::string(16, 'u'), ""},
          CounterDeclaration{"a", CounterKind::counter, "", std::string(144, 'h')}}) {
        CHECK_THROWS_AS(declare(table, 2, {named("a_total"), too_long}), std::invalid_argument);
    }
    for (const char* name : {"", "9lives", "with space", "dash-ed", "new\nline"}) {
        CHECK_THROWS_AS(declare(table, 2, {named("a_total"), named(name)}), std::invalid_argument);
    }
    CHECK(reader.sums().size() == 1);
    CHECK(reader.sum("requests_total") == 10);
    declare(table, 2,
            {{std::string(95, 'n'), CounterKind::counter, std::string(15, 'u'), std::string(143, 'h')}});
    CHECK(reader.sums()[1].name == std::string(95, 'n'));
    CHECK(reader.sums()[1].unit == std::string(15, 'u'));
    CHECK(reader.sums()[1].help == std::string(143, 'h'));
}

TEST_CASE("counter_table: the status page lies beside the counters") {
    CounterTable table({.cells = 8, .rows = 4});
    const CounterReader reader(table.read_only_fd(), table.row_source());
    MasterStatus master;
    master.generation = 5;
    table.status().write(master, std::vector<WorkerStatus>(5));
    CHECK(reader.status_snapshot().master.generation == 5);
    CHECK(reader.status_snapshot().workers.size() == 4);
    CHECK(reader.status().read(StatusPage::size_for(reader.row_count())).workers.size() == 4);
}
