// What the counters say at one moment, as top needs it.
// Runs in: the command line.
#pragma once

#include "core/counters/counter_reader.h"
#include "core/protocol/status_page.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace drover::top {

struct WorkerSample {
    WorkerStatus status;
    std::int64_t connections = 0;
    double busy = 0;                      // share of a processor
    double lag_seconds = 0;               // the longest that its loop was late in the last report's interval
    std::optional<std::size_t> row = {};  // in Sample::rows
};

struct Sample {
    std::int64_t time_ms = 0;  // CLOCK_MONOTONIC
    MasterStatus master;
    std::vector<WorkerSample> workers;
    std::int64_t connections = 0;
    std::vector<CounterReader::Sum> sums;  // of all workers, the dead included
    CounterReader::WorkerRows rows;        // of what top shows
};

// Throws std::runtime_error as CounterReader does.
Sample take_sample(const CounterReader& reader, std::int64_t now_ms);

}  // namespace drover::top
