#include "core/protocol/status_json.h"

#include "core/base/json_writer.h"
#include "core/counters/counter_families.h"
#include "core/protocol/status_page.h"

#include <algorithm>
#include <string_view>

namespace drover {

namespace {

// Clocks are read before the page is: what happened in between is 0 old.
double seconds(std::int64_t milliseconds) noexcept {
    return static_cast<double>(std::max<std::int64_t>(milliseconds, 0)) / 1000.0;
}

void write_seconds_or_null(JsonWriter& json, std::string_view name, bool known, std::int64_t milliseconds) {
    json.key(name);
    if (known) {
        json.value(seconds(milliseconds));
    } else {
        json.null();
    }
}

void write_last_reload(JsonWriter& json, const MasterStatus& master) {
    json.key("last_reload");
    if (master.last_reload == ReloadResult::none) return json.null();
    const std::string_view error = master.last_reload_error;
    json.begin_object();
    json.member("result", to_text(master.last_reload));
    json.member("generation", master.last_reload_generation);
    json.key("error");
    if (error.empty()) {
        json.null();
    } else {
        json.value(error);
    }
    json.end_object();
}

void write_deaths(JsonWriter& json, const WorkerStatus& worker, std::int64_t now_ms) {
    json.member("deaths", worker.deaths);
    json.key("recent_deaths");
    json.begin_array();
    for (const WorkerDeath& death : worker.recent_deaths) {
        if (death.time_ms == 0) break;
        json.begin_object();
        json.member("reason", std::string_view(death.reason));
        json.member("age_s", seconds(now_ms - death.time_ms));
        json.end_object();
    }
    json.end_array();
}

void write_histogram(JsonWriter& json, const CounterReader::Sum& sum) {
    json.begin_object();
    json.member("count", sum.value);
    json.member("sum", sum.in_units(static_cast<double>(sum.sum)));
    json.member("p50", sum.in_units(sum.quantile(0.5)));
    json.member("p90", sum.in_units(sum.quantile(0.9)));
    json.member("p99", sum.in_units(sum.quantile(0.99)));
    json.end_object();
}

// In units; whole where what is counted is the unit.
void write_counter(JsonWriter& json, const CounterReader::Sum& sum) {
    if (sum.per_unit > 1)
        json.value(sum.amount());
    else if (sum.kind == CounterKind::gauge)
        json.value(sum.gauge());
    else
        json.value(sum.value);
}

}  // namespace

WorkerLoad current_load(const CounterReader& reader, const WorkerStatus& worker) {
    WorkerLoad load{.connections = worker.connections, .accepted = worker.accepted};
    if (worker.instance == 0) return load;
    if (const auto active = reader.value_of(worker.instance, "drover_connections_active")) {
        load.connections =
            static_cast<std::uint64_t>(std::max<std::int64_t>(static_cast<std::int64_t>(*active), 0));
    }
    if (const auto accepted = reader.value_of(worker.instance, "drover_connections_accepted_total")) {
        load.accepted = *accepted;
    }
    return load;
}

void write_master_members(JsonWriter& json, const MasterStatus& master, std::int64_t now_ms) {
    json.member("version", std::string_view(master.version));
    json.member("program", std::string_view(master.program));
    json.member("program_version", std::string_view(master.program_version));
    json.member("pid", master.pid);
    json.member("state", to_text(master.state));
    json.member("generation", master.generation);
    json.member("uptime_s", seconds(now_ms - master.started_ms));
    write_last_reload(json, master);
    write_seconds_or_null(json, "probation_s", master.probation_until_ms != 0,
                          master.probation_until_ms - now_ms);
}

void write_worker_members(JsonWriter& json, const WorkerStatus& worker, const WorkerLoad& load,
                          std::int64_t now_ms) {
    json.member("pool", std::string_view(worker.pool));
    json.member("slot", worker.slot);
    json.member("pid", worker.pid);
    json.member("generation", worker.generation);
    json.member("state", to_text(worker.state));
    json.member("connections", load.connections);
    json.member("accepted", load.accepted);
    json.member("restarts", worker.restarts);
    write_seconds_or_null(json, "age_s", worker.pid != 0, now_ms - worker.started_ms);
    write_seconds_or_null(json, "heartbeat_age_s", worker.heartbeat_ms != 0, now_ms - worker.heartbeat_ms);
    write_seconds_or_null(json, "next_attempt_s",
                          worker.state == WorkerState::backing_off && worker.next_attempt_ms != 0,
                          worker.next_attempt_ms - now_ms);
    write_seconds_or_null(json, "drain_left_s", worker.leaves_by_ms != 0, worker.leaves_by_ms - now_ms);
    write_deaths(json, worker, now_ms);
    json.member("loop_lag_us", worker.loop_lag_us);
    json.member("cpu_us", worker.cpu_us);
    json.member("resident_bytes", worker.resident_bytes);
    json.member("dropped_reports", worker.dropped_reports);
}

std::string status_json(const CounterReader& reader, std::int64_t now_ms,
                        const std::function<void(JsonWriter&)>& more) {
    const StatusSnapshot status = reader.status_snapshot();
    JsonWriter json(2);
    json.begin_object();
    write_master_members(json, status.master, now_ms);
    if (more) more(json);
    json.key("workers");
    json.begin_array();
    for (const WorkerStatus& worker : status.workers) {
        json.begin_object();
        write_worker_members(json, worker, current_load(reader, worker), now_ms);
        const auto silence = silent_ms(worker, now_ms);
        write_seconds_or_null(json, "silent_s", silence.has_value(), silence.value_or(0));
        json.end_object();
    }
    json.end_array();
    json.key("counters");
    json.begin_object();
    const std::vector<CounterReader::Sum> sums = reader.sums();
    for (const CounterReader::Sum* const sum : one_of_each(sums)) {
        if (sum->scope == CounterScope::worker) continue;  // adds up to nothing
        json.key(sum->text());
        sum->kind == CounterKind::histogram ? write_histogram(json, *sum) : write_counter(json, *sum);
    }
    json.end_object();
    json.end_object();
    return json.take();
}

}  // namespace drover
