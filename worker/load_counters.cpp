#include "worker/load_counters.h"

#include "worker/load_meter.h"

#include <algorithm>

namespace drover {

namespace {

// Reports that a change of state brings come too close to each other to tell a share.
constexpr std::int64_t least_interval_ms = 5;

}  // namespace

LoadCounters::LoadCounters(const CounterRow& row, Log& log)
    : log_(log),
      cpu_(row.counter("drover_worker_cpu_seconds_total")),
      lag_(row.gauge("drover_worker_loop_lag_seconds")),
      busy_(row.gauge("drover_worker_busy_ratio")),
      resident_(row.gauge("drover_worker_resident_bytes")),
      open_fds_(row.gauge("drover_worker_open_fds")),
      generation_(row.gauge("drover_worker_generation")) {
    log_.count_lost_in(row.counter("drover_log_lines_lost_total"));
}

LoadCounters::~LoadCounters() {
    log_.count_lost_in({});
}

void LoadCounters::update(const Report& report, std::uint64_t generation) noexcept {
    cpu_.add(report.cpu_us - cpu_.value());
    lag_.set(static_cast<std::int64_t>(report.loop_lag_us));
    resident_.set(static_cast<std::int64_t>(report.resident_bytes));
    open_fds_.set(static_cast<std::int64_t>(LoadMeter::open_descriptors()));
    generation_.set(static_cast<std::int64_t>(generation));
    const std::int64_t interval_ms = report.time_ms - busy_since_ms_;
    if (interval_ms < least_interval_ms) return;
    // Microseconds in a millisecond are thousandths.
    const std::uint64_t share = (report.cpu_us - busy_since_us_) / static_cast<std::uint64_t>(interval_ms);
    if (busy_since_ms_ != 0) busy_.set(static_cast<std::int64_t>(std::min<std::uint64_t>(share, 1000)));
    busy_since_ms_ = report.time_ms;
    busy_since_us_ = report.cpu_us;
}

}  // namespace drover
