// The counters of a service as a person reads them: what `drover status --counters` prints. Runs in: the
// master (control socket).
#pragma once

#include "core/counters/counter_reader.h"

#include <string>
#include <string_view>

namespace drover {

inline constexpr std::size_t longest_counter_pattern = 256;

// A line for each: its name with its labels, and its value. Without a pattern those that are 0 are left out;
// with one all are there whose text it is in, or, with '*' or '?' in it, whose whole text it fits
// (fnmatch(3)). Throws std::runtime_error when the table stays torn.
std::string counters_text(const CounterReader& reader, std::string_view pattern);

}  // namespace drover
