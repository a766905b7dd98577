#include "master/top/sample.h"

#include "worker/status_json.h"

#include <algorithm>
#include <string_view>

namespace drover::top {

namespace {

using Values = std::vector<CounterReader::Sum>;

bool is_of(const CounterReader::Sum& value, CounterKind kind, std::string_view ending) {
    return value.kind == kind && value.name.ends_with(ending);
}

Traffic traffic_of(const Values& values) {
    Traffic traffic;
    for (const CounterReader::Sum& value : values) {
        if (is_of(value, CounterKind::counter, "_requests_total")) {
            traffic.counts_requests = true;
            traffic.requests += value.value;
        } else if (is_of(value, CounterKind::histogram, "_request_seconds")) {
            traffic.latency.add(value);
        } else if (value.name == "drover_connections_accepted_total") {
            traffic.accepted = value.value;
        } else if (value.name == "drover_received_bytes_total") {
            traffic.bytes_in = value.value;
        } else if (value.name == "drover_sent_bytes_total") {
            traffic.bytes_out = value.value;
        }
    }
    return traffic;
}

double gauge(const Values& values, std::string_view name) {
    const auto found = std::ranges::find(values, name, &CounterReader::Sum::name);
    if (found == values.end()) return 0;
    return found->amount();
}

WorkerSample sample_of(const CounterReader& reader, const WorkerStatus& status) {
    const Values values = reader.values_of(status.instance);
    WorkerSample worker;
    worker.status = status;
    worker.connections = static_cast<std::int64_t>(current_load(reader, status).connections);
    worker.busy = gauge(values, "drover_worker_busy_ratio");
    worker.lag_seconds = gauge(values, "drover_worker_loop_lag_seconds");
    worker.traffic = traffic_of(values);
    return worker;
}

}  // namespace

Sample take_sample(const CounterReader& reader, std::int64_t now_ms) {
    StatusSnapshot status = reader.status_snapshot();
    Sample sample;
    sample.time_ms = now_ms;
    sample.master = status.master;
    for (const WorkerStatus& worker : status.workers)
        sample.workers.push_back(sample_of(reader, worker));
    const Values sums = reader.sums();
    sample.traffic = traffic_of(sums);
    sample.connections = static_cast<std::int64_t>(gauge(sums, "drover_connections_active"));
    return sample;
}

}  // namespace drover::top
