// The status JSON, from a CounterReader alone (status page and counters). Members as `drover status --json`
// documents them. Runs in: master (control socket, and for workers that ask) and workers of pools that
// observe.
#pragma once

#include "core/base/json_writer.h"
#include "core/counters/counter_reader.h"

#include <cstdint>
#include <functional>
#include <string>

namespace drover {

// One object. `now_ms` is CLOCK_MONOTONIC. Throws std::runtime_error when the table stays torn.
//
// - of the master: version (Drover's), program, program_version (empty: it has none), pid, state, generation,
// uptime_s, probation_s (null: none),
//   last_reload: null, or {result, generation, error (null when there is none)}
// - workers: a list of {pool, slot, pid (0: no process), generation, state, connections, accepted,
//   restarts, age_s (null: no process), heartbeat_age_s (null: none yet), next_attempt_s (null: not
//   backing off), drain_left_s (null: no limit), deaths, recent_deaths: a list of {reason, age_s},
//   loop_lag_us, cpu_us, resident_bytes, dropped_reports, silent_s (null: it is heard of, or has not reported
//   yet)}
// - counters: name, with its labels as name{label="value"}: total; of a histogram {count, sum, p50,
//   p90, p99}; in units; without what is each worker's own
// - what `more` writes into the object, between the members of the master and its workers
std::string status_json(const CounterReader& reader, std::int64_t now_ms,
                        const std::function<void(JsonWriter&)>& more = {});

// A worker's figures as its counters say now; as last reported when it has no row any more.
struct WorkerLoad {
    std::uint64_t connections = 0;
    std::uint64_t accepted = 0;
};
WorkerLoad current_load(const CounterReader& reader, const WorkerStatus& worker);

// The same members in objects of another document.
void write_master_members(JsonWriter& json, const MasterStatus& master, std::int64_t now_ms);
void write_worker_members(JsonWriter& json, const WorkerStatus& worker, const WorkerLoad& load,
                          std::int64_t now_ms);

}  // namespace drover
