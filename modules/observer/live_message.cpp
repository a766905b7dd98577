#include "modules/observer/live_message.h"

#include "core/json_writer.h"
#include "worker/status_json.h"

#include <algorithm>
#include <map>
#include <utility>

namespace drover::observer {

namespace {

using Sums = std::vector<CounterReader::Sum>;

// In units, of those with that label, or whatever the labels; none: there is no such counter.
std::optional<double> total(const Sums& sums, std::string_view name, const CounterLabel* only = nullptr) {
    std::optional<double> all;
    for (const CounterReader::Sum& sum : sums) {
        if (sum.name != name) continue;
        if (only != nullptr && std::ranges::find(sum.labels, *only) == sum.labels.end()) continue;
        all = all.value_or(0) + sum.amount();
    }
    return all;
}

void write_total(JsonWriter& json, std::string_view key, const std::optional<double>& value) {
    json.key(key);
    value ? json.value(*value) : json.null();
}

void write_latency(JsonWriter& json, const std::optional<Latency>& latency) {
    json.key("latency");
    if (!latency) return json.null();
    json.begin_object();
    json.member("p50_ms", latency->p50_ms);
    json.member("p99_ms", latency->p99_ms);
    json.end_object();
}

}  // namespace

std::optional<Latency> LatencyMeter::take(const Sums& sums) {
    HistogramCounts now;
    for (const CounterReader::Sum& sum : sums) {
        if (sum.kind == CounterKind::histogram && sum.name == "drover_http_request_seconds") now.add(sum);
    }
    const std::optional<HistogramCounts> before = std::exchange(before_, now);
    if (!before) return std::nullopt;
    const HistogramCounts between = now.since(*before);
    const std::optional<double> p50 = between.quantile(0.5);
    if (!p50) return std::nullopt;
    constexpr double milli = 1000;
    return Latency{milli * *p50, milli * between.quantile(0.99).value_or(0)};
}

std::string LiveMessage::make(std::int64_t now_ms, std::int64_t unix_ms, bool answers) {
    const StatusSnapshot status = reader_.status_snapshot();
    const Sums sums = reader_.sums();
    std::map<std::uint64_t, double> busy;
    for (const CounterReader::WorkerValue& worker : reader_.each_worker("drover_worker_busy_ratio"))
        busy[worker.instance] = static_cast<double>(worker.value) / 1000.0;
    JsonWriter json;
    json.begin_object();
    json.member("time_ms", unix_ms);
    json.member("now_ms", now_ms);
    json.member("answers", answers);
    json.key("master");
    json.begin_object();
    write_master_members(json, status.master, now_ms);
    json.end_object();
    std::uint64_t connections = 0;
    std::uint64_t resident = 0;
    json.key("workers");
    json.begin_array();
    for (const WorkerStatus& worker : status.workers) {
        const WorkerLoad load = current_load(reader_, worker);
        if (worker.pool != own_pool_) connections += load.connections;
        if (worker.pool != own_pool_) resident += worker.resident_bytes;
        if (&worker >= status.workers.data() + most_workers) continue;
        json.begin_object();
        write_worker_members(json, worker, load, now_ms);
        json.member("busy", busy[worker.instance]);
        json.end_object();
    }
    json.end_array();
    json.member("more_workers", status.workers.size() - std::min(status.workers.size(), most_workers));
    json.key("totals");
    json.begin_object();
    json.member("connections", connections);
    json.member("resident_bytes", resident);
    write_total(json, "requests", total(sums, "drover_http_requests_total"));
    const CounterLabel failed{"code", "5xx"};
    write_total(json, "errors", total(sums, "drover_http_responses_total", &failed));
    write_total(json, "accepted", total(sums, "drover_connections_accepted_total"));
    write_total(json, "received_bytes", total(sums, "drover_received_bytes_total"));
    write_total(json, "sent_bytes", total(sums, "drover_sent_bytes_total"));
    write_total(json, "queue", total(sums, "drover_listener_queue_connections"));
    write_total(json, "drops", total(sums, "drover_listener_drops_total"));
    write_total(json, "cpu_s", total(sums, "drover_worker_cpu_seconds_total"));
    json.end_object();
    write_latency(json, latency_.take(sums));
    json.end_object();
    return json.take();
}

}  // namespace drover::observer
