#include "modules/observer/service_metrics.h"

#include <string_view>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::observer;

namespace {

WorkerStatus& add(StatusSnapshot& status, std::string_view pool, std::uint32_t slot, WorkerState state) {
    WorkerStatus& worker = status.workers.emplace_back();
    pool.copy(worker.pool, sizeof(worker.pool) - 1);
    worker.slot = slot;
    worker.state = state;
    return worker;
}

std::string text_of(const StatusSnapshot& status, MasterSign sign) {
    Metrics metrics;
    add_service_metrics(metrics, status, sign);
    return metrics_text(metrics, MetricsFormat::prometheus);
}

bool has_line(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("the master's state, workers by state, and since when each was not heard of") {
    StatusSnapshot status;
    status.master.state = MasterState::degraded;
    WorkerStatus& stuck = add(status, "main", 0, WorkerState::serving);
    stuck.pid = 10;
    stuck.instance = 1;
    stuck.heartbeat_ms = 88'000;
    WorkerStatus& older = add(status, "main", 1, WorkerState::draining);
    older.pid = 11;
    older.instance = 2;
    older.heartbeat_ms = 99'750;
    WorkerStatus& fresh = add(status, "main", 1, WorkerState::serving);
    fresh.pid = 12;
    fresh.instance = 3;
    fresh.heartbeat_ms = 100'001;  // after the clock was read
    add(status, "main", 2, WorkerState::starting).pid = 13;
    add(status, "other", 0, WorkerState::backing_off);
    const std::string text = text_of(status, {.answers = true, .now_ms = 100'000});
    CHECK(has_line(text, "drover_master_state{state=\"degraded\"} 1"));
    for (const char* const state : {"starting", "running", "reloading", "stopping", "unresponsive"})
        CHECK(has_line(text, "drover_master_state{state=\"" + std::string(state) + "\"} 0"));
    CHECK(has_line(text, "drover_workers{pool=\"main\",state=\"serving\"} 2"));
    CHECK(has_line(text, "drover_workers{pool=\"main\",state=\"draining\"} 1"));
    CHECK(has_line(text, "drover_workers{pool=\"main\",state=\"starting\"} 1"));
    CHECK(has_line(text, "drover_workers{pool=\"main\",state=\"backing_off\"} 0"));
    CHECK(has_line(text, "drover_workers{pool=\"other\",state=\"backing_off\"} 1"));
    CHECK(has_line(text, "drover_worker_heartbeat_age_seconds{pool=\"main\",slot=\"0\"} 12"));
    CHECK(has_line(text, "drover_worker_heartbeat_age_seconds{pool=\"main\",slot=\"1\"} 0"));
    CHECK(has_line(text,
                   "drover_worker_heartbeat_age_seconds{pool=\"main\",slot=\"1\",older_pid=\"11\"} 0.25"));
    CHECK(text.find("age_seconds{pool=\"main\",slot=\"2\"") == std::string::npos);
    CHECK(text.find("age_seconds{pool=\"other\"") == std::string::npos);
}

TEST_CASE("a master that does not answer is said to be so, and knows nothing of workers") {
    StatusSnapshot status;
    status.master.state = MasterState::running;
    WorkerStatus& worker = add(status, "main", 0, WorkerState::serving);
    worker.pid = 10;
    worker.heartbeat_ms = 1000;
    const std::string text = text_of(status, {.answers = false, .now_ms = 100'000});
    CHECK(has_line(text, "drover_master_state{state=\"unresponsive\"} 1"));
    CHECK(has_line(text, "drover_master_state{state=\"running\"} 0"));
    CHECK(text.find("drover_worker") == std::string::npos);
}
