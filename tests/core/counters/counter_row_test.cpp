// What a worker can and cannot do with its row, in processes of their own.
#include "core/counters/counter_table.h"
#include "core/process/process.h"
#include "tests/support/deadline.h"

#include <csignal>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;

namespace {

const std::vector<CounterDeclaration> row_declarations{{"requests_total", CounterKind::counter, "", ""},
                                                       {"connections", CounterKind::gauge, "", ""}};

int exit_code_of(const Process& child) {
    int status = 0;
    REQUIRE(::waitpid(child.pid(), &status, 0) == child.pid());
    return status;
}

constexpr int survived = 0;
constexpr int not_tried = 3;

// A child maps the row of instance 1, tries `crime` and dies of it: true. Sanitizers make an exit of the
// signal.
template <class Crime>
bool dies_of(const CounterTable& table, Crime crime) {
    const int fds[] = {table.read_only_fd(), table.row_fd(0)};
    SpawnOptions options;
    options.keep_fds = fds;
    const Process child = spawn(options, [&] {
        const rlimit no_core{};
        ::setrlimit(RLIMIT_CORE, &no_core);
        const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(null, STDERR_FILENO);
        const CounterRow row(table.read_only_fd(), table.row_fd(0), 0, 1);
        row.counter("requests_total").add();
        if (row.counter("requests_total").value() != 1) return not_tried;
        crime(row);
        return survived;
    });
    const int status = exit_code_of(child);
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSEGV;
    return test::sanitizers && WEXITSTATUS(status) != survived && WEXITSTATUS(status) != not_tried;
}

constexpr CounterCapacity row_capacity{.cells = 8, .rows = 4};

// Where the worker's read-only mapping of the whole table begins.
std::byte* base_of(const CounterRow& row) {
    const void* status = &row.status();
    return static_cast<std::byte*>(const_cast<void*>(status)) -
           plan_layout(row_capacity.cells, row_capacity.rows).status_offset;
}

void store(std::byte* address) {
    *reinterpret_cast<volatile std::uint64_t*>(address) = 4711;
}

std::string refusal(int table_fd, int row_fd, std::uint32_t row, std::uint64_t instance) {
    try {
        const CounterRow mapped(table_fd, row_fd, row, instance);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return {};
}

}  // namespace

TEST_CASE("counter_row: a worker that writes anything but its own row dies of it") {
    CounterTable table(row_capacity);
    table.declare(1, row_declarations);
    REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
    REQUIRE(table.take_row({2, 1, "main", 1}) == 1);
    const CounterReader reader(table.read_only_fd(), table.row_source());

    CHECK_FALSE(dies_of(table, [](const CounterRow&) {}));
    table.fold(0);
    REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
    const auto write_at = [&table](std::uint64_t offset) {
        const bool died = dies_of(table, [&](const CounterRow& row) { store(base_of(row) + offset); });
        table.fold(0);
        REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
        return died;
    };
    const TableLayout layout = plan_layout(row_capacity.cells, row_capacity.rows);
    CHECK(write_at(0));
    CHECK(write_at(offsetof(TableHeader, fold)));
    CHECK(write_at(layout.columns_offset));
    CHECK(write_at(layout.row_entries_offset));
    CHECK(write_at(layout.totals_offset[0]));
    CHECK(write_at(layout.status_offset));
    CHECK(reader.value_of(2, "requests_total") == 0);
    CHECK(reader.status_snapshot().workers.empty());
}

TEST_CASE("counter_row: the table's mapping cannot be made writable") {
    CounterTable table(row_capacity);
    table.declare(1, row_declarations);
    REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
    const CounterRow row(table.read_only_fd(), table.row_fd(0), 0, 1);
    const std::size_t size = file_size(table.read_only_fd());
    CHECK(::mprotect(base_of(row), size, PROT_READ | PROT_WRITE) == -1);
    CHECK(errno == EACCES);
}

TEST_CASE("counter_row: a worker's own child cannot count in its row") {
    CounterTable table(row_capacity);
    table.declare(1, row_declarations);
    REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
    CHECK(dies_of(table, [](const CounterRow& row) {
        Counter requests = row.counter("requests_total");
        const pid_t child = ::fork();
        if (child == 0) {
            requests.add();
            ::_exit(survived);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) ::raise(WTERMSIG(status));
        ::_exit(WEXITSTATUS(status));
    }));
    CHECK(CounterReader(table.read_only_fd(), table.row_source()).sum("requests_total") == 1);
}

TEST_CASE("counter_row: sealed memory such as a configuration cannot be written by who maps it") {
    const std::size_t size = 8192;
    const UniqueFd fd = create_memfd("counter-row-test", size, true);
    {
        const Mapping mapping = map_shared_writable(fd.get(), 0, size);
        store(static_cast<std::byte*>(mapping.data()));
    }
    seal_memory(fd.get());
    const Mapping mapping = map_private_read_only(fd.get(), size);
    auto* data = static_cast<std::byte*>(mapping.data());

    CounterTable table(row_capacity);
    table.declare(1, row_declarations);
    REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
    CHECK(dies_of(table, [&](const CounterRow&) { store(data + 4096); }));
    CHECK_THROWS(map_shared_writable(fd.get(), 0, size));
    // A private copy can be made writable; it changes nothing for anybody else.
    {
        const Mapping own = map_private_read_only(fd.get(), size);
        REQUIRE(::mprotect(own.data(), size, PROT_READ | PROT_WRITE) == 0);
        *static_cast<std::uint64_t*>(own.data()) = 1;
    }
    CHECK(*reinterpret_cast<const std::uint64_t*>(data) == 4711);
}

TEST_CASE("counter_row: what does not fit together is refused") {
    CounterTable table(row_capacity);
    table.declare(1, row_declarations);
    REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
    const int own = table.row_fd(0);
    CHECK(refusal(table.read_only_fd(), own, 0, 2) == "counter row: row 0 belongs to instance 1, not 2");
    CHECK(refusal(table.read_only_fd(), own, 1, 1) == "counter row: row 1 belongs to instance 0, not 1");
    CHECK(refusal(table.read_only_fd(), own, 1, 0) != "");
    CHECK(refusal(table.read_only_fd(), own, 4, 1) == "counter row: there is no row 4 of 4");
    CHECK(refusal(table.read_only_fd(), table.read_only_fd(), 0, 1) != "");
    CHECK(refusal(own, own, 0, 1) != "");
    CounterTable larger({.cells = 2000, .rows = 4});
    REQUIRE(larger.take_row({1, 1, "main", 0}) == 0);
    CHECK(refusal(table.read_only_fd(), larger.row_fd(0), 0, 1) ==
          "counter row: it has 16384 bytes, those of the table 4096");
    const RowBatch read_only = table.rows_after(0);
    CHECK(refusal(table.read_only_fd(), read_only.rows.at(0).fd.get(), 0, 1) != "");
    const CounterRow row(table.read_only_fd(), own, 0, 1);
    CHECK(refusal(table.read_only_fd(), own, 0, 1) != "");  // it has its worker
    CHECK_THROWS_AS((void)row.counter("connections"), std::out_of_range);
    CHECK_THROWS_AS((void)row.gauge("requests_total"), std::out_of_range);
    CHECK_THROWS_AS((void)row.counter("bytes_total"), std::out_of_range);
}

TEST_CASE("counter_row: whatever is done to a row's memory, readers and folds go on, and others are right") {
    CounterTable table({.cells = 2000, .rows = 4});
    table.declare(1, row_declarations);
    REQUIRE(table.take_row({1, 1, "main", 0}) == 0);
    REQUIRE(table.take_row({2, 1, "main", 1}) == 1);
    const CounterReader reader(table.read_only_fd(), table.row_source());
    CounterReader other(table.read_only_fd());
    other.attach(table.rows_after(0));
    const CounterRow bad(table.read_only_fd(), table.row_fd(0), 0, 1);
    const CounterRow good(table.read_only_fd(), table.row_fd(1), 1, 2);
    bad.counter("requests_total").add(1000);
    good.counter("requests_total").add(7);
    CHECK(reader.sum("requests_total") == 1007);

    const int fd = table.row_fd(0);
    CHECK(::ftruncate(fd, 0) == -1);
    CHECK(::ftruncate(fd, 1 << 20) == -1);
    CHECK(::fallocate(fd, 0, 0, 1 << 20) == -1);
    CHECK(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
    CHECK(::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == -1);
    // A hole would have to be filled for whoever reads there: without memory that is SIGBUS.
    CHECK(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 16384) == -1);
    const std::vector<std::uint64_t> noise(2048, 0xa5a5a5a5a5a5a5a5);
    CHECK(::pwrite(fd, noise.data(), 16384, 0) == -1);
    CHECK(::mmap(nullptr, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    bad.counter("requests_total").add(noise.front());
    for (const CounterReader* const each : {&reader, &std::as_const(other)}) {
        CHECK(each->value_of(1, "requests_total") == 1000 + noise.front());
        CHECK(each->value_of(2, "requests_total") == 7);
    }
    table.declare(2, std::vector<CounterDeclaration>{{"more_total", CounterKind::counter, "", ""}});
    CHECK(reader.sum("more_total") == 0);
    table.fold(0);
    CHECK(reader.value_of(2, "requests_total") == 7);
    CHECK(other.value_of(2, "requests_total") == 7);
}

namespace {

constexpr std::uint64_t batch = 1000;

struct CountingWorker {
    Process process;
    UniqueFd told;
    std::uint32_t row = 0;
    std::uint64_t last_told = 0;

    // Takes what the worker said it had counted; false at its end.
    bool hear() {
        std::uint64_t number = 0;
        const ssize_t got = ::read(told.get(), &number, sizeof number);
        if (got != sizeof number) return false;
        last_told = number;
        return true;
    }
};

// Counts for ever, and says after each batch how much that is by now.
CountingWorker start_counting(CounterTable& table, std::uint64_t instance) {
    CountingWorker worker;
    worker.row = table.take_row({instance, 1, "main", 0}).value();
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    worker.told = UniqueFd(ends[0]);
    const UniqueFd tell(ends[1]);
    const int row_fd = table.row_fd(worker.row);
    const int fds[] = {table.read_only_fd(), row_fd, tell.get()};
    SpawnOptions options;
    options.keep_fds = fds;
    worker.process = spawn(options, [&] {
        const CounterRow row(table.read_only_fd(), row_fd, worker.row, instance);
        Counter requests = row.counter("requests_total");
        row.gauge("connections").set(1);
        while (true) {
            for (std::uint64_t i = 0; i < batch; ++i)
                requests.add();
            const std::uint64_t counted = requests.value();
            if (::write(tell.get(), &counted, sizeof counted) != sizeof counted) return 1;
        }
        return 0;
    });
    return worker;
}

}  // namespace

TEST_CASE("counter_row: what workers counted survives kill -9, and sums never go back") {
    CounterTable table(row_capacity);
    table.declare(1, row_declarations);
    const CounterReader reader(table.read_only_fd(), table.row_source());
    std::uint64_t last_sum = 0;
    std::uint64_t expected = 0;
    std::uint64_t instance = 0;
    std::vector<CountingWorker> workers;
    workers.reserve(3);
    for (int i = 0; i < 3; ++i)
        workers.push_back(start_counting(table, ++instance));
    const auto look = [&] {
        const std::uint64_t sum = reader.sum("requests_total");
        CHECK(sum >= last_sum);
        last_sum = sum;
    };
    for (int round = 0; round < 60; ++round) {
        CountingWorker& victim = workers[static_cast<std::size_t>(round) % workers.size()];
        REQUIRE(victim.hear());
        look();
        REQUIRE(victim.process.signal(SIGKILL));
        CHECK(WTERMSIG(exit_code_of(victim.process)) == SIGKILL);
        while (victim.hear()) {
        }
        const std::uint64_t counted = reader.value_of(instance - 2, "requests_total").value();
        CHECK(counted >= victim.last_told);
        CHECK(counted <= victim.last_told + batch);
        expected += counted;
        look();
        table.fold(victim.row);
        look();
        CHECK(reader.sum("connections") <= 2);
        victim = start_counting(table, ++instance);
    }
    for (CountingWorker& worker : workers) {
        REQUIRE(worker.process.signal(SIGKILL));
        exit_code_of(worker.process);
    }
    for (std::uint64_t live = instance - 2; live <= instance; ++live) {
        expected += reader.value_of(live, "requests_total").value();
    }
    for (const CountingWorker& worker : workers)
        table.fold(worker.row);
    CHECK(reader.sum("requests_total") == expected);
    CHECK(reader.sum("connections") == 0);
    CHECK(expected >= 60 * batch);
}
