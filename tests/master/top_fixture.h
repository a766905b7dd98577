// Views for the tests of top. Runs in: tests.
#pragma once

#include "master/top/rates.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace drover::test {

inline top::WorkerSample worker_sample(std::uint32_t slot, std::uint64_t instance, std::uint64_t requests) {
    top::WorkerSample worker;
    std::string_view("main").copy(worker.status.pool, sizeof worker.status.pool - 1);
    worker.status.slot = slot;
    worker.status.pid = 1000 + static_cast<std::uint32_t>(instance);
    worker.status.instance = instance;
    worker.status.generation = 3;
    worker.status.state = WorkerState::serving;
    worker.status.heartbeat_ms = 900;
    worker.status.resident_bytes = 4 << 20;
    worker.connections = static_cast<std::int64_t>(slot);
    worker.traffic.counts_requests = true;
    worker.traffic.requests = requests;
    return worker;
}

inline top::Sample sample_at(std::int64_t time_ms, std::vector<top::WorkerSample> workers) {
    top::Sample sample;
    sample.time_ms = time_ms;
    sample.master.state = MasterState::running;
    sample.master.generation = 3;
    sample.master.pid = 999;
    sample.workers = std::move(workers);
    sample.traffic.counts_requests = true;
    for (const top::WorkerSample& worker : sample.workers) {
        sample.traffic.requests += worker.traffic.requests;
        sample.connections += worker.connections;
    }
    return sample;
}

}  // namespace drover::test
