#include "modules/observer/status_pages.h"

#include <string_view>

#include <doctest/doctest.h>

using namespace drover;
using observer::why_not_ready;

namespace {

struct Service {
    Service() {
        status.master.state = MasterState::running;
        settings.pools.emplace_back().name = "main";
        settings.pools.back().workers = 3;
        settings.pools.back().min_healthy = 2;
    }
    WorkerStatus& add(std::string_view pool, WorkerState state) {
        WorkerStatus& worker = status.workers.emplace_back();
        worker.pid = 1;
        worker.report_interval_ms = 1000;
        worker.heartbeat_ms = now_ms;
        pool.copy(worker.pool, sizeof(worker.pool) - 1);
        worker.state = state;
        return worker;
    }
    std::string why_not() const { return why_not_ready(status, settings, now_ms); }

    static constexpr std::int64_t now_ms = 100'000;
    StatusSnapshot status;
    Settings settings;
};

}  // namespace

TEST_CASE("ready is a service whose pools all have the workers that they need") {
    Service service;
    CHECK(service.why_not() == "pool main: 0 of 3 workers serve, 2 needed");
    service.add("main", WorkerState::serving);
    service.add("main", WorkerState::starting);
    service.add("main", WorkerState::draining);
    service.add("main", WorkerState::backing_off);
    service.add("other", WorkerState::serving);
    CHECK(service.why_not() == "pool main: 1 of 3 workers serve, 2 needed");
    service.add("main", WorkerState::serving);
    CHECK(service.why_not().empty());
    service.settings.pools.emplace_back().name = "second";
    service.settings.pools.back().workers = 1;
    service.settings.pools.back().min_healthy = 1;
    CHECK(service.why_not() == "pool second: 0 of 1 workers serve, 1 needed");
}

TEST_CASE("what the master knows of itself counts, too") {
    Service service;
    service.add("main", WorkerState::serving);
    service.add("main", WorkerState::serving);
    service.status.master.state = MasterState::reloading;
    CHECK(service.why_not().empty());
    service.status.master.state = MasterState::starting;
    CHECK(service.why_not() == "the master is starting");
    service.status.master.state = MasterState::stopping;
    CHECK(service.why_not() == "the master is stopping");
    service.status.master.state = MasterState::degraded;
    CHECK(service.why_not() == "a pool has too few workers that answer");
}

TEST_CASE("a worker that is not heard of does not serve, whatever the master is about") {
    Service service;
    service.add("main", WorkerState::serving);
    WorkerStatus& stuck = service.add("main", WorkerState::serving);
    service.status.master.state = MasterState::reloading;
    stuck.heartbeat_ms = Service::now_ms - 3000;
    CHECK(service.why_not().empty());
    stuck.heartbeat_ms = Service::now_ms - 3001;
    CHECK(service.why_not() == "pool main: 1 of 3 workers serve, 2 needed; 1 not heard of");
    stuck.heartbeat_ms = Service::now_ms;
    CHECK(service.why_not().empty());
    stuck.stands_still = 1;
    CHECK(service.why_not() == "pool main: 1 of 3 workers serve, 2 needed; 1 not heard of");
    // One that has not reported yet has just begun.
    stuck.stands_still = 0;
    stuck.heartbeat_ms = 0;
    CHECK(service.why_not().empty());
}
