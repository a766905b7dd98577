// LoadCounters are what a worker says of itself in its row of the counter table: processor time, lag, memory,
// descriptors, the generation it serves, renewed with each report; and lost lines of its log, as they are
// lost. Owned by the worker. Runs in: worker.
#pragma once

#include "core/counters/counter.h"
#include "core/counters/counter_row.h"
#include "core/log/log.h"
#include "core/protocol/report_pipe.h"

#include <cstdint>

namespace drover {

class LoadCounters {
  public:
    // Throws std::out_of_range when core's counters are not declared.
    LoadCounters(const CounterRow& row, Log& log);
    ~LoadCounters();
    LoadCounters(const LoadCounters&) = delete;
    LoadCounters& operator=(const LoadCounters&) = delete;

    void update(const Report& report, std::uint64_t generation) noexcept;

  private:
    Log& log_;
    Counter cpu_;
    Gauge lag_;
    Gauge busy_;
    Gauge resident_;
    Gauge open_fds_;
    Gauge generation_;
    std::int64_t busy_since_ms_ = 0;  // when busy_ was measured last, and the processor time then
    std::uint64_t busy_since_us_ = 0;
};

}  // namespace drover
