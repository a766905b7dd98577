#include "modules/observer/live_message.h"

#include "core/counters/counter_difference.h"
#include "core/counters/histogram_counts.h"
#include "core/protocol/status_json.h"

#include <algorithm>
#include <utility>

namespace drover::observer {

namespace {

using Sums = std::vector<CounterReader::Sum>;

struct Total {
    std::string_view key;
    std::string_view name;
    bool grows = true;
    std::string_view code = {};  // of those with this one alone
};
constexpr Total totals_of_counters[] = {
    {"requests", "drover_http_requests_total"},        {"errors", "drover_http_responses_total", true, "5xx"},
    {"accepted", "drover_connections_accepted_total"}, {"received_bytes", "drover_received_bytes_total"},
    {"sent_bytes", "drover_sent_bytes_total"},         {"queue", "drover_listener_queue_connections", false},
    {"drops", "drover_listener_drops_total"},          {"cpu_s", "drover_worker_cpu_seconds_total"},
};

// In units, whatever the other labels; none: there is no such counter.
std::optional<double> add_up(const Sums& sums, const Total& total) {
    const auto has_code = [&total](const CounterLabel& label) {
        return label.name == "code" && label.value == total.code;
    };
    std::optional<double> all;
    for (const CounterReader::Sum& sum : sums) {
        if (sum.name != total.name) continue;
        if (!total.code.empty() && std::ranges::none_of(sum.labels, has_code)) continue;
        all = all.value_or(0) + sum.amount();
    }
    return all;
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

std::optional<Latency> latency_of(const Sums& counted) {
    HistogramCounts all;
    for (const CounterReader::Sum& sum : counted) {
        if (sum.kind == CounterKind::histogram && sum.name == "drover_http_request_seconds") all.add(sum);
    }
    const std::optional<double> p50 = all.quantile(0.5);
    if (!p50) return std::nullopt;
    constexpr double milli = 1000;
    return Latency{milli * *p50, milli * all.quantile(0.99).value_or(0)};
}

std::string LiveMessage::make(const LiveMoment& moment) {
    const StatusSnapshot status = reader_.status_snapshot();
    Sums now = reader_.sums();
    const bool first = before_.empty();
    const Sums counted = first ? now : counted_between(before_, now);
    JsonWriter json;
    json.begin_object();
    json.member("time_ms", moment.unix_ms);
    json.member("now_ms", moment.now_ms);
    json.member("answers", moment.answers);
    json.key("master");
    json.begin_object();
    write_master_members(json, status.master, moment.now_ms);
    json.end_object();
    write_workers(json, status, moment);
    write_totals(json, status, now, counted);
    write_latency(json, first ? std::nullopt : latency_of(counted));
    json.end_object();
    before_ = std::move(now);
    return json.take();
}

void LiveMessage::forget() {
    before_.clear();
    totals_.clear();
}

// While the master does not answer nobody knows who is silent: the page is as it was.
void LiveMessage::write_workers(JsonWriter& json, const StatusSnapshot& status,
                                const LiveMoment& moment) const {
    std::map<std::uint64_t, double> busy;
    for (const CounterReader::WorkerValue& worker : reader_.each_worker("drover_worker_busy_ratio"))
        busy[worker.instance] = static_cast<double>(worker.value) / 1000.0;
    const std::size_t shown = std::min(status.workers.size(), most_workers);
    json.key("workers");
    json.begin_array();
    for (std::size_t index = 0; index < shown; ++index) {
        const WorkerStatus& worker = status.workers[index];
        json.begin_object();
        write_worker_members(json, worker, current_load(reader_, worker), moment.now_ms);
        json.member("busy", busy[worker.instance]);
        const auto silent = silent_ms(worker, moment.now_ms);
        json.key("silent_s");
        if (silent && moment.answers)
            json.value(static_cast<double>(*silent) / 1000.0);
        else
            json.null();
        json.end_object();
    }
    json.end_array();
    json.member("more_workers", status.workers.size() - shown);
}

void LiveMessage::write_totals(JsonWriter& json, const StatusSnapshot& status, const Sums& now,
                               const Sums& counted) {
    std::uint64_t connections = 0;
    std::uint64_t resident = 0;
    for (const WorkerStatus& worker : status.workers) {
        if (worker.pool == own_pool_) continue;
        connections += current_load(reader_, worker).connections;
        resident += worker.resident_bytes;
    }
    json.key("totals");
    json.begin_object();
    json.member("connections", connections);
    json.member("resident_bytes", resident);
    for (const Total& total : totals_of_counters) {
        const std::optional<double> all = add_up(now, total);
        double& grown = totals_[total.key];
        grown += add_up(counted, total).value_or(0);
        json.key(total.key);
        all ? json.value(total.grows ? grown : *all) : json.null();
    }
    json.end_object();
}

}  // namespace drover::observer
