// What the counter table says at one moment, as top needs it: nobody has to answer for it.
// Runs in: the command line.
#pragma once

#include "core/counter_reader.h"
#include "core/histogram_counts.h"
#include "core/status_page.h"

#include <cstdint>
#include <string>
#include <vector>

namespace drover::top {

// Requests are what counters named *_requests_total count, latency is what histograms named *_request_seconds
// observe, whichever module they are of.
struct Traffic {
    bool counts_requests = false;
    std::uint64_t requests = 0;
    std::uint64_t accepted = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    HistogramCounts latency;
};

struct WorkerSample {
    WorkerStatus status;
    std::int64_t connections = 0;
    double busy = 0;         // share of a processor
    double lag_seconds = 0;  // the longest that its loop was late in the last report's interval
    Traffic traffic;
};

struct Sample {
    std::int64_t time_ms = 0;  // CLOCK_MONOTONIC
    MasterStatus master;
    std::vector<WorkerSample> workers;
    Traffic traffic;  // of all, the dead included
    std::int64_t connections = 0;
};

// Throws std::runtime_error as CounterReader does.
Sample take_sample(const CounterReader& reader, std::int64_t now_ms);

}  // namespace drover::top
