#include "worker/load_counters.h"

#include "conf/counters.h"
#include "core/counters/counter_table.h"

#include <string_view>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;

namespace {

constexpr std::uint64_t instance = 7;

// The only worker's row, and what a reader sees of it.
struct Worker {
    Worker() { log.set_target({UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC))}); }

    double value(std::string_view name) const {
        for (const CounterReader::Sum& sum : reader.sums())
            if (sum.name == name) return sum.amount();
        return -1;
    }

    CounterTable table = [] {
        CounterTable made;
        made.declare(1, core_counters({}));
        return made;
    }();
    std::uint32_t number = table.take_row({instance, 1, "main", 0}).value();
    CounterRow row{table.read_only_fd(), table.row_fd(number), number, instance};
    CounterReader reader{table.read_only_fd(), table.row_source()};
    Log log{LogIdentity{"worker", "main", 0}};
};

}  // namespace

TEST_CASE("load counters: a line is counted when it is lost, also before anybody counts") {
    Worker worker;
    worker.log.info("lost");
    {
        const LoadCounters counters(worker.row, worker.log);
        CHECK(worker.value("drover_log_lines_lost_total") == 1);
        worker.log.info("lost");
        CHECK(worker.value("drover_log_lines_lost_total") == 2);
    }
    worker.log.info("lost");
    CHECK(worker.value("drover_log_lines_lost_total") == 2);
    CHECK(worker.log.lost() == 3);
}

TEST_CASE("load counters: what a report says, in units, and the share of time between two") {
    Worker worker;
    LoadCounters counters(worker.row, worker.log);
    Report report;
    report.time_ms = 1000;
    report.cpu_us = 500'000;
    report.loop_lag_us = 2500;
    report.resident_bytes = 4096;
    counters.update(report, 3);
    CHECK(worker.value("drover_worker_cpu_seconds_total") == doctest::Approx(0.5));
    CHECK(worker.value("drover_worker_loop_lag_seconds") == doctest::Approx(0.0025));
    CHECK(worker.value("drover_worker_resident_bytes") == 4096);
    CHECK(worker.value("drover_worker_generation") == 3);
    CHECK(worker.value("drover_worker_open_fds") > 3);
    report.time_ms = 2000;
    report.cpu_us = 750'000;
    counters.update(report, 3);
    CHECK(worker.value("drover_worker_busy_ratio") == doctest::Approx(0.25));
    report.time_ms = 3000;
    report.cpu_us = 5'000'000;  // of several threads
    counters.update(report, 3);
    CHECK(worker.value("drover_worker_busy_ratio") == doctest::Approx(1));
    CHECK(worker.value("drover_worker_cpu_seconds_total") == doctest::Approx(5));
}
