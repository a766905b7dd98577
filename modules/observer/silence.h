// Which workers are not heard of. What such a one says of itself is as old as its last report: also that it
// serves. Runs in: worker.
#pragma once

#include "core/status_page.h"

#include <cstdint>
#include <optional>

namespace drover::observer {

// A worker misses so many of its pool's report_interval, and for so long, before it counts as silent.
inline constexpr std::int64_t silent_after_reports = 3;
inline constexpr std::int64_t shortest_silence_ms = 1000;

// Since when nothing was heard of a worker that is silent, or that the master knows to stand still; none: it
// is heard of, or has not reported yet. `now_ms` is CLOCK_MONOTONIC; the page is up to date.
std::optional<std::int64_t> silent_ms(const WorkerStatus& worker, std::int64_t now_ms) noexcept;

}  // namespace drover::observer
