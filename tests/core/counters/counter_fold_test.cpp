// Folds that a dead master left half-done, and readers that look while the master folds. What is written here
// by hand into a copy of the table is what CounterTable::fold writes, step by step.
#include "tests/core/counters/counter_fixture.h"

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;

namespace {

constexpr std::uint32_t columns = 4;
constexpr std::uint32_t rows = 3;

const std::vector<CounterDeclaration> declarations{{"requests_total", CounterKind::counter, "", ""},
                                                   {"connections", CounterKind::gauge, "", ""}};

// A table with a fold behind it (total 100), a dying worker (row 0: 7 requests, 2 connections) and a live one
// (row 1: 30 requests, 1 connection).
struct HalfDone {
    HalfDone() {
        table.declare(1, declarations);
        count(*table.take_row({1, 1, "main", 0}), 1, 100, 9);
        table.fold(0);
        count(*table.take_row({2, 1, "main", 0}), 2, 7, 2);
        count(*table.take_row({3, 1, "main", 1}), 3, 30, 1);
        copy.emplace(table);
        view = TableView<std::byte>(copy->mapping.data(), view.layout());
        reader.emplace(copy->fd.get(), table.row_source());
        REQUIRE(fold().load() == 1);
    }
    void count(std::uint32_t row, std::uint64_t instance, std::uint64_t requests, std::int64_t connections) {
        const CounterRow mapped = test::map(table, row, instance);
        mapped.counter("requests_total").add(requests);
        mapped.gauge("connections").set(connections);
    }
    std::atomic<std::uint64_t>& fold() const { return view.header().fold; }

    CounterTable table{{.cells = columns, .rows = rows}};
    std::optional<test::TableCopy> copy;
    TableView<std::byte> view{nullptr, plan_layout(columns, rows)};
    std::optional<CounterReader> reader;
};

// The steps of a fold of row 0, the first `count` of them. The master dies after the last.
constexpr int all_steps = 7;
void do_steps(const HalfDone& half, int count) {
    RowEntry& entry = half.view.row_entry(0);
    std::uint64_t* totals = half.view.totals(2);
    if (count > 0) totals[0] = 107;
    if (count > 1) totals[1] = 0;
    if (count > 2) totals[2] = totals[3] = 0;
    if (count > 3) entry.folded = 2;
    if (count > 4) half.fold() = 2;
    if (count > 5) entry.instance = 0;
    if (count > 6) entry.folded = 0;
}

}  // namespace

TEST_CASE("counter_fold: at any step of a fold a dead worker's row counts once") {
    for (int steps = 0; steps <= all_steps; ++steps) {
        CAPTURE(steps);
        const HalfDone half;
        CHECK(half.reader->sum("requests_total") == 137);
        // What the buffer that is not in use held before does not matter.
        for (std::uint32_t i = 0; i < columns; ++i)
            half.view.totals(2)[i] = 999999;
        do_steps(half, steps);
        const bool marked = steps > 3;
        const bool flipped = steps > 4;
        CHECK(half.reader->sum("requests_total") == 137);
        CHECK(half.reader->sum("connections") == (flipped ? 1 : 3));
        CHECK(half.reader->value_of(2, "requests_total").has_value() == !marked);
        CHECK(half.reader->value_of(3, "requests_total") == 30);
    }
}

TEST_CASE("counter_fold: columns left half-changed are said") {
    const HalfDone half;
    half.view.header().columns_sequence.fetch_add(1);
    CHECK_THROWS_AS((void)half.reader->sums(), std::runtime_error);
    CHECK_THROWS_AS((void)half.reader->sum("requests_total"), std::runtime_error);
    CHECK_FALSE(half.reader->find_column("requests_total", CounterKind::counter).has_value());
}

namespace {

// A thread that is one worker after another: it maps the row it is given, counts, and says when it is "dead".
class Workers {
  public:
    explicit Workers(const CounterTable& table) : table_(table), thread_([this] { run(); }) {}
    ~Workers() {
        instance_ = 0;
        start_.release();
        thread_.join();
    }
    void start(std::uint32_t row, std::uint64_t instance, std::string extra, std::uint64_t extra_amount) {
        row_ = row;
        row_fd_ = table_.row_fd(row);
        instance_ = instance;
        extra_ = std::move(extra);
        extra_amount_ = extra_amount;
        start_.release();
    }
    std::uint32_t wait_until_dead() {
        dead_.acquire();
        return row_;
    }

    static constexpr std::uint64_t requests_each = 300;

  private:
    void run() {
        for (start_.acquire(); instance_ != 0; start_.acquire()) {
            {
                const CounterRow row(table_.read_only_fd(), row_fd_, row_, instance_);
                Counter requests = row.counter("requests_total");
                row.gauge("connections").set(1);
                row.counter(extra_).add(extra_amount_);
                for (std::uint64_t i = 0; i < requests_each; ++i)
                    requests.add();
            }
            dead_.release();
        }
    }

    const CounterTable& table_;
    std::uint32_t row_ = 0;
    int row_fd_ = -1;
    std::uint64_t instance_ = 0;
    std::string extra_;
    std::uint64_t extra_amount_ = 0;
    std::binary_semaphore start_{0};
    std::binary_semaphore dead_{0};
    std::thread thread_;
};

// The master of these tests hands out rows when it is asked, as a real one does: not while it changes them.
std::mutex rows_change;

// Looks without a pause, and counts what it saw that cannot be.
class Watcher {
  public:
    explicit Watcher(const CounterTable& table)
        : reader_(table.read_only_fd(),
                  [source = table.row_source()](std::uint64_t after) {
                      const std::lock_guard lock(rows_change);
                      return source(after);
                  }),
          thread_([this] { run(); }) {}
    ~Watcher() { stop(); }
    // What went wrong; empty when nothing did.
    std::string stop() {
        done_ = true;
        if (thread_.joinable()) thread_.join();
        return failure_;
    }

  private:
    void run() {
        try {
            do {
                for (const CounterReader::Sum& sum : reader_.sums())
                    look(sum);
                check_forward("requests_total", reader_.sum("requests_total"));
            } while (!done_);
        } catch (const std::exception& error) {
            failure_ = error.what();
        }
    }
    void look(const CounterReader::Sum& sum) {
        if (sum.kind == CounterKind::gauge) {
            if (sum.value > 2) failure_ = "a gauge of the dead is counted";
            return;
        }
        check_forward(sum.name, sum.value);
        // Names that end in 1 count one, the others a million, in the same columns.
        if (sum.name.ends_with("_1") && sum.value > 2) failure_ = sum.name + " counts another name's";
    }
    void check_forward(const std::string& name, std::uint64_t value) {
        std::uint64_t& last = last_[name];
        if (value < last) {
            failure_ = name + " went from " + std::to_string(last) + " back to " + std::to_string(value);
        }
        last = value;
    }

    CounterReader reader_;
    std::map<std::string, std::uint64_t> last_;
    std::string failure_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

// So many lives of workers, two at a time, each counted out, folded and replaced. `begin` may declare more
// for one and says its generation, and what it counts beside the requests.
struct Life {
    std::uint64_t generation = 1;
    std::string extra;
    std::uint64_t extra_amount = 0;
};
template <class Begin>
void live_and_die(CounterTable& table, std::uint64_t lives, Begin begin) {
    Workers pools[2] = {Workers(table), Workers(table)};
    for (std::uint64_t instance = 1; instance <= lives + 2; ++instance) {
        Workers& pool = pools[instance % 2];
        if (instance > 2) {
            const std::uint32_t dead = pool.wait_until_dead();
            const std::lock_guard lock(rows_change);
            table.fold(dead);
        }
        if (instance > lives) continue;
        const std::lock_guard lock(rows_change);
        const Life life = begin(instance);
        const auto row = table.take_row({instance, life.generation, "main", 0});
        REQUIRE(row.has_value());
        pool.start(*row, instance, life.extra, life.extra_amount);
    }
}

}  // namespace

TEST_CASE("counter_fold: totals never go back while rows are folded and others are taken") {
    constexpr std::uint64_t lives = 2000;
    // Many columns make long folds, and those looked at are the last to be cleaned.
    CounterTable table({.cells = 8000, .rows = 3});
    std::vector<CounterDeclaration> many(7997, {"", CounterKind::counter, "", ""});
    for (std::size_t i = 0; i < many.size(); ++i)
        many[i].name = "filler_" + std::to_string(i);
    table.declare(1, many);
    table.forget(1);
    std::vector<CounterDeclaration> with_extra = declarations;
    with_extra.push_back({"extra_total", CounterKind::counter, "", ""});
    table.declare(2, with_extra);
    const CounterReader reader(table.read_only_fd(), table.row_source());
    REQUIRE(reader.find_column("requests_total", CounterKind::counter) == 7997);
    Watcher watcher(table);
    live_and_die(table, lives, [](std::uint64_t) { return Life{2, "extra_total", 3}; });
    CHECK(watcher.stop() == "");
    CHECK(reader.sum("requests_total") == lives * Workers::requests_each);
    CHECK(reader.sum("extra_total") == lives * 3);
    CHECK(reader.sum("connections") == 0);
}

TEST_CASE("counter_fold: no name shows another's counts while columns change hands") {
    constexpr std::uint64_t lives = 1500;
    CounterTable table({.cells = columns, .rows = rows});
    table.declare(1, declarations);
    Watcher watcher(table);
    std::uint64_t oldest = 2;
    live_and_die(table, lives, [&](std::uint64_t instance) {
        // Each pair of lives brings a name of its own.
        const std::uint64_t generation = 2 + instance / 2;
        Life life{generation, "x" + std::to_string(generation) + (generation % 2 == 1 ? "_1" : "_0"), 1};
        if (generation % 2 == 0) life.extra_amount = 1'000'000;
        // Each was declared by two lives.
        for (; oldest + 1 < generation; ++oldest) {
            table.forget(oldest);
            table.forget(oldest);
        }
        table.declare(generation,
                      std::vector<CounterDeclaration>{{life.extra, CounterKind::counter, "", ""}});
        return life;
    });
    CHECK(watcher.stop() == "");
    const CounterReader reader(table.read_only_fd(), table.row_source());
    CHECK(reader.sum("requests_total") == lives * Workers::requests_each);
}
