// What one count and one observation cost: Counter::add and Histogram::observe beside a bare load and store,
// beside lock xadd and beside prometheus-cpp's (where it is installed), alone and while a second one counts:
// a process in the neighbouring row, on its own bare cell, on the same xadd cell; of prometheus-cpp, which
// has nothing between processes, a thread on the same object. And what a reader's sums() cost. Medians over
// rounds that visit each in turn, so that a change of the machine's pace meets all of them.
#include "core/base/system_error.h"
#include "core/counters/counter_table.h"
#include "core/counters/histogram.h"
#include "core/process/process.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#ifdef DROVER_BENCH_PROMETHEUS
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#endif

using namespace drover;

namespace {

constexpr unsigned rounds = 11;
constexpr std::uint64_t counts = 20'000'000;
constexpr std::uint64_t page_words = 512;

void pin_to(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    // Figures of a machine with one processor are still figures.
    (void)::sched_setaffinity(0, sizeof set, &set);
}

// Processor time of this thread: what else the machine runs does not count.
double cpu_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// A module holds its counter as a member and counts now and then: the pointer is loaded for each count. The
// loops begin at the same place of a cache line, which otherwise makes more of a difference than what they
// do.
void forget_registers() {
    asm volatile("" ::: "memory");
}

[[gnu::noinline, gnu::aligned(64)]] void add_counter(Counter& counter, std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
        counter.add();
        forget_registers();
    }
}

[[gnu::noinline, gnu::aligned(64)]] void add_bare(std::uint64_t*& cell, std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
        std::atomic_ref<std::uint64_t> bare(*cell);
        bare.store(bare.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        forget_registers();
    }
}

[[gnu::noinline, gnu::aligned(64)]] void add_locked(std::uint64_t*& cell, std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
        std::atomic_ref<std::uint64_t>(*cell).fetch_add(1, std::memory_order_relaxed);
        forget_registers();
    }
}

// Latencies in microseconds as they come: from tens to hundreds of thousands.
std::uint64_t value_of(std::uint64_t i) {
    return (i * 2654435761U & 0xffff) << (i & 7);
}

[[gnu::noinline, gnu::aligned(64)]] void observe(Histogram& histogram, std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
        histogram.observe(value_of(i));
        forget_registers();
    }
}

// What the values alone cost.
[[gnu::noinline, gnu::aligned(64)]] void make_values(std::uint64_t& last, std::uint64_t times) {
    for (std::uint64_t i = 0; i < times; ++i) {
        last = value_of(i);
        forget_registers();
    }
}

// A second process that counts until it is killed.
class Rival {
  public:
    Rival(std::vector<int> fds, std::uint64_t* running, std::function<void()> count_some) {
        std::atomic_ref<std::uint64_t> runs(*running);
        runs.store(0);
        SpawnOptions options;
        options.keep_fds = fds;
        process_ = spawn(options, [&] {
            pin_to(1);
            while (true) {
                count_some();
                runs.store(1);
            }
            return 0;
        });
        while (runs.load() == 0)
            ::sched_yield();
    }
    ~Rival() {
        process_.signal(SIGKILL);
        ::waitpid(process_.pid(), nullptr, 0);
    }
    Rival(const Rival&) = delete;
    Rival& operator=(const Rival&) = delete;

  private:
    Process process_;
};

struct Way {
    const char* name;
    std::function<void()> count;
    std::function<void()> rival;
    bool threads = false;  // the rival is a thread
    std::vector<double> alone{};
    std::vector<double> contended{};
};

// A second thread that counts until it is told to stop.
class RivalThread {
  public:
    explicit RivalThread(const std::function<void()>& count_some)
        : thread_([this, count_some] {
              pin_to(1);
              while (!stop_) {
                  count_some();
                  runs_ = true;
              }
          }) {
        while (!runs_)
            ::sched_yield();
    }
    ~RivalThread() {
        stop_ = true;
        thread_.join();
    }
    RivalThread(const RivalThread&) = delete;
    RivalThread& operator=(const RivalThread&) = delete;

  private:
    std::atomic<bool> stop_{false};
    std::atomic<bool> runs_{false};
    std::thread thread_;
};

void measure(Way& way, std::vector<double>& results) {
    const double start = cpu_ns();
    way.count();
    results.push_back((cpu_ns() - start) / static_cast<double>(counts));
}

#ifdef DROVER_BENCH_PROMETHEUS
// A counter is a double behind a compare-and-swap; a histogram finds its bucket by a search in the bounds.
void add_prometheus(std::vector<Way>& ways) {
    static prometheus::Counter counter;
    static prometheus::Histogram histogram({100, 250, 500, 1000, 2500, 5000, 10'000, 25'000, 50'000, 100'000,
                                            250'000, 500'000, 1'000'000, 10'000'000});
    const auto add = [](std::uint64_t times) {
        for (std::uint64_t i = 0; i < times; ++i)
            counter.Increment();
    };
    const auto see = [](std::uint64_t times) {
        for (std::uint64_t i = 0; i < times; ++i)
            histogram.Observe(static_cast<double>(value_of(i)));
    };
    constexpr std::uint64_t some = 1'000'000;
    ways.push_back({"prometheus-cpp Increment", [=] { add(counts); }, [=] { add(some); }, true});
    ways.push_back({"prometheus-cpp Observe", [=] { see(counts); }, [=] { see(some); }, true});
}
#else
void add_prometheus(std::vector<Way>&) {
    std::printf("prometheus-cpp is not installed (Debian: prometheus-cpp-dev)\n");
}
#endif

void bench_count() {
    CounterTable table;
    constexpr HistogramBounds bounds{1, 60'000'000};
    table.declare(1, std::vector<CounterDeclaration>{
                         {.name = "requests_total"},
                         {.name = "latency", .kind = CounterKind::histogram, .bounds = bounds}});
    const std::uint32_t own = table.take_row({1, 1, "bench", 0}).value();
    // Of each second process: a row has one writer in its life.
    std::uint64_t instance = 1;
    std::uint32_t neighbour = table.take_row({++instance, 1, "bench", 1}).value();
    const auto next_neighbour = [&] {
        table.fold(neighbour);
        neighbour = table.take_row({++instance, 1, "bench", 1}).value();
    };
    const CounterRow row(table.read_only_fd(), table.row_fd(own), own, 1);
    Counter counter = row.counter("requests_total");
    Histogram histogram = row.histogram("latency", bounds);
    std::uint64_t last = 0;

    const std::size_t size = 3 * page_words * sizeof(std::uint64_t);
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_errno("mmap");
    const Mapping shared(memory, size);
    auto* words = static_cast<std::uint64_t*>(memory);
    std::uint64_t* cell = words;
    std::uint64_t* rival_cell = words + page_words;
    std::uint64_t* running = words + 2 * page_words;

    constexpr std::uint64_t some = 1'000'000;
    std::vector<Way> ways = {
        {"load + store", [&] { add_bare(cell, counts); }, [&] { add_bare(rival_cell, some); }},
        {"Counter::add", [&] { add_counter(counter, counts); },
         [&] {
             static const CounterRow other(table.read_only_fd(), table.row_fd(neighbour), neighbour,
                                           instance);
             static Counter requests = other.counter("requests_total");
             add_counter(requests, some);
         }},
        {"lock xadd", [&] { add_locked(cell, counts); }, [&] { add_locked(cell, some); }},
        {"(a value, not observed)", [&] { make_values(last, counts); }, [&] { make_values(last, some); }},
        {"Histogram::observe", [&] { observe(histogram, counts); },
         [&] {
             static const CounterRow other(table.read_only_fd(), table.row_fd(neighbour), neighbour,
                                           instance);
             static Histogram latency = other.histogram("latency", bounds);
             observe(latency, some);
         }},
    };
    add_prometheus(ways);
    for (unsigned round = 0; round < rounds; ++round) {
        for (Way& way : ways) {
            measure(way, way.alone);
            if (way.threads) {
                const RivalThread rival(way.rival);
                measure(way, way.contended);
            } else {
                next_neighbour();
                const Rival rival({table.read_only_fd(), table.row_fd(neighbour)}, running, way.rival);
                measure(way, way.contended);
            }
        }
    }
    const double bare_alone = median(ways[0].alone);
    const double bare_contended = median(ways[0].contended);
    std::printf("one count, ns (median of %u)  alone   ratio   with a second   ratio\n", rounds);
    for (const Way& way : ways) {
        const double alone = median(way.alone);
        const double contended = median(way.contended);
        std::printf("%-28s %6.2f  %6.2f   %14.2f  %6.2f\n", way.name, alone, alone / bare_alone, contended,
                    contended / bare_contended);
    }
}

void bench_sums() {
    constexpr unsigned columns = 1000;
    constexpr unsigned rows = 64;
    constexpr unsigned reads = 200;
    CounterTable table({.cells = columns, .rows = rows});
    std::vector<CounterDeclaration> declarations;
    for (unsigned i = 0; i < columns; ++i) {
        declarations.push_back({"column_" + std::to_string(i) + "_total", CounterKind::counter, "", ""});
    }
    table.declare(1, declarations);
    for (unsigned row = 0; row < rows; ++row) {
        const std::uint32_t taken = table.take_row({row + 1, 1, "bench", row}).value();
        const CounterRow mapped(table.read_only_fd(), table.row_fd(taken), taken, row + 1);
        for (const CounterDeclaration& one : declarations)
            mapped.counter(one.name).add(row);
    }
    const CounterReader reader(table.read_only_fd(), table.row_source());
    const auto us_each = [](const std::function<void()>& read) {
        std::vector<double> results;
        for (unsigned round = 0; round < rounds; ++round) {
            const double start = cpu_ns();
            for (unsigned i = 0; i < reads; ++i)
                read();
            results.push_back((cpu_ns() - start) / reads / 1000);
        }
        return median(results);
    };
    std::printf("\nCounterReader, %u rows x %u columns, us (median of %u)\n", rows, columns, rounds);
    std::printf("sums()                       %6.1f\n", us_each([&] { (void)reader.sums(); }));
    std::printf("sum(name)                    %6.1f\n",
                us_each([&] { (void)reader.sum("column_250_total"); }));
}

}  // namespace

int main() {
    try {
        pin_to(0);
        bench_count();
        bench_sums();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "counter_bench: %s\n", error.what());
        return 1;
    }
}
