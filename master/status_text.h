// Status as people and programs read it: the JSON object of docs/cli.md, and the table that `drover status` prints. Both come
// from a CounterReader alone (status page and counters), so whoever maps the table can render them.
// Runs in: the master (control socket).
#pragma once

#include <string>

#include "core/counter_table.h"

namespace drover {

// `now_ms` is CLOCK_MONOTONIC.
std::string status_table(const CounterReader& reader, std::int64_t now_ms);

}  // namespace drover
