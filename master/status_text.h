// Status as a person reads it: the table that `drover status` prints, from a CounterReader alone (status page
// and counters). For programs: worker/status_json.h. Runs in: the master (control socket).
#pragma once

#include "core/counter_table.h"

#include <cstdint>
#include <string>

namespace drover {

// `now_ms` is CLOCK_MONOTONIC. Throws std::runtime_error when the table stays torn.
std::string status_table(const CounterReader& reader, std::int64_t now_ms);

// "45s", "3m 12s", "2h 05m", "3d 04h".
std::string age_text(std::int64_t milliseconds);
// "512 B", "1.5 KiB", "2.0 GiB".
std::string bytes_text(std::uint64_t bytes);

}  // namespace drover
