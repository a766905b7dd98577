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
    void add(std::string_view pool, WorkerState state) {
        WorkerStatus& worker = status.workers.emplace_back();
        pool.copy(worker.pool, sizeof(worker.pool) - 1);
        worker.state = state;
    }
    std::string why_not() const { return why_not_ready(status, settings); }

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
