// The status JSON, from a CounterReader alone (status page and counters): whoever maps the table can render it, without asking
// the master. Members as `drover status --json` documents them. Runs in: master (control socket) and worker (the http
// status handler).
#pragma once

#include <cstdint>
#include <string>

#include "core/counter_table.h"

namespace drover {

// `now_ms` is CLOCK_MONOTONIC. Throws std::runtime_error when the table stays torn.
std::string status_json(const CounterReader& reader, std::int64_t now_ms);

}  // namespace drover
