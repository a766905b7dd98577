#include "modules/observer/silence.h"

#include <algorithm>

namespace drover::observer {

std::optional<std::int64_t> silent_ms(const WorkerStatus& worker, std::int64_t now_ms) noexcept {
    if (worker.pid == 0 || worker.heartbeat_ms == 0) return std::nullopt;
    const std::int64_t age_ms = std::max<std::int64_t>(now_ms - worker.heartbeat_ms, 0);
    const std::int64_t reports_ms = silent_after_reports * std::int64_t{worker.report_interval_ms};
    const bool missed = age_ms > std::max(reports_ms, shortest_silence_ms);
    if (!missed && worker.stands_still == 0) return std::nullopt;
    return age_ms;
}

}  // namespace drover::observer
