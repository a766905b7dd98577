#include "modules/observer/live_message.h"

#include "core/histogram.h"
#include "core/json_writer.h"
#include "worker/status_json.h"

#include <algorithm>
#include <map>
#include <optional>

namespace drover::observer {

namespace {

using Sums = std::vector<CounterReader::Sum>;

double seconds(std::int64_t milliseconds) noexcept {
    return static_cast<double>(std::max<std::int64_t>(milliseconds, 0)) / 1000.0;
}

// In units, of those with that label, or whatever the labels; none: there is no such counter.
std::optional<double> total(const Sums& sums, std::string_view name, const CounterLabel* only = nullptr) {
    std::optional<double> all;
    for (const CounterReader::Sum& sum : sums) {
        if (sum.name != name) continue;
        if (only != nullptr && std::ranges::find(sum.labels, *only) == sum.labels.end()) continue;
        const auto counted = sum.kind == CounterKind::gauge
                                 ? static_cast<double>(static_cast<std::int64_t>(sum.value))
                                 : static_cast<double>(sum.value);
        all = all.value_or(0) + sum.in_units(counted);
    }
    return all;
}

void write_total(JsonWriter& json, std::string_view key, const std::optional<double>& value) {
    json.key(key);
    value ? json.value(*value) : json.null();
}

void write_seconds(JsonWriter& json, std::string_view key, bool known, std::int64_t milliseconds) {
    write_total(json, key, known ? std::optional(seconds(milliseconds)) : std::nullopt);
}

void write_master(JsonWriter& json, const MasterStatus& master, std::int64_t now_ms) {
    json.key("master");
    json.begin_object();
    json.member("version", std::string_view(master.version));
    json.member("pid", master.pid);
    json.member("state", to_text(master.state));
    json.member("generation", master.generation);
    json.member("uptime_s", seconds(now_ms - master.started_ms));
    json.key("last_reload");
    if (master.last_reload == ReloadResult::none) {
        json.null();
    } else {
        json.begin_object();
        json.member("result", to_text(master.last_reload));
        json.member("generation", master.last_reload_generation);
        json.member("error", std::string_view(master.last_reload_error));
        json.end_object();
    }
    json.end_object();
}

void write_worker(JsonWriter& json, const WorkerStatus& worker, const WorkerLoad& load, double busy,
                  std::int64_t now_ms) {
    json.begin_object();
    json.member("pool", std::string_view(worker.pool));
    json.member("slot", worker.slot);
    json.member("pid", worker.pid);
    json.member("generation", worker.generation);
    json.member("state", to_text(worker.state));
    json.member("connections", load.connections);
    json.member("accepted", load.accepted);
    json.member("restarts", worker.restarts);
    json.member("deaths", worker.deaths);
    write_seconds(json, "age_s", worker.pid != 0, now_ms - worker.started_ms);
    const bool waits = worker.state == WorkerState::backing_off && worker.next_attempt_ms != 0;
    write_seconds(json, "next_attempt_s", waits, worker.next_attempt_ms - now_ms);
    json.member("busy", busy);
    json.member("lag_us", worker.loop_lag_us);
    json.member("cpu_us", worker.cpu_us);
    json.member("resident_bytes", worker.resident_bytes);
    json.end_object();
}

void write_latency(JsonWriter& json, LatencyMeter& meter, const Sums& sums) {
    json.key("latency");
    LatencyMeter::Quantiles quantiles;
    if (!meter.take(sums, quantiles)) return json.null();
    json.begin_object();
    json.member("p50_ms", quantiles.p50);
    json.member("p99_ms", quantiles.p99);
    json.end_object();
}

}  // namespace

bool LatencyMeter::take(const Sums& sums, Quantiles& quantiles) {
    const CounterReader::Sum* family = nullptr;
    std::vector<std::uint64_t> now;
    for (const CounterReader::Sum& sum : sums) {
        if (sum.kind != CounterKind::histogram || sum.name != "drover_http_request_seconds") continue;
        if (family != nullptr && sum.bounds != family->bounds) continue;
        if (family == nullptr) now.resize(sum.buckets.size());
        family = &sum;
        std::ranges::transform(sum.buckets, now, now.begin(), std::plus());
    }
    const std::vector<std::uint64_t> before = std::exchange(before_, now);
    if (family == nullptr || before.size() != now.size()) return false;
    // A route that left the configuration took its count along.
    std::ranges::transform(now, before, now.begin(),
                           [](auto later, auto earlier) { return later - std::min(later, earlier); });
    if (std::ranges::all_of(now, [](std::uint64_t count) { return count == 0; })) return false;
    const HistogramScale scale(family->bounds);
    constexpr double milli = 1000;
    quantiles.p50 = milli * family->in_units(quantile(scale, now, 0.5));
    quantiles.p99 = milli * family->in_units(quantile(scale, now, 0.99));
    return true;
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
    write_master(json, status.master, now_ms);
    std::uint64_t connections = 0;
    std::uint64_t resident = 0;
    json.key("workers");
    json.begin_array();
    for (const WorkerStatus& worker : status.workers) {
        const WorkerLoad load = current_load(reader_, worker);
        if (worker.pool != own_pool_) connections += load.connections;
        if (worker.pool != own_pool_) resident += worker.resident_bytes;
        if (&worker < status.workers.data() + most_workers)
            write_worker(json, worker, load, busy[worker.instance], now_ms);
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
    write_latency(json, latency_, sums);
    json.end_object();
    return json.take();
}

}  // namespace drover::observer
