// What the dashboard is told once a second: one line of JSON, of a bounded size. Runs in: worker.
#pragma once

#include "core/counter_reader.h"
#include "core/histogram_counts.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drover::observer {

struct Latency {
    double p50_ms = 0;
    double p99_ms = 0;
};

// How long requests took between two looks at the table.
class LatencyMeter {
  public:
    // Of the histograms of drover_http_request_seconds, all routes together. None when there was no look
    // before this one, or no request since.
    std::optional<Latency> take(const std::vector<CounterReader::Sum>& sums);

  private:
    std::optional<HistogramCounts> before_;
};

class LiveMessage {
  public:
    // Lines of workers in one message.
    static constexpr std::size_t most_workers = 256;

    LiveMessage(const CounterReader& reader, std::string_view own_pool)
        : reader_(reader), own_pool_(own_pool) {}

    // `now_ms` is CLOCK_MONOTONIC, `unix_ms` the time of day; `answers`: the master does. Rates are made by
    // who reads two of them. Throws as CounterReader does.
    //
    //   time_ms, now_ms, answers
    //   master   what status_json says of it
    //   totals   accepted, received_bytes, sent_bytes, queue, drops, cpu_s; requests and errors, null where
    //            nothing of the kind is counted; without the observer's own: connections, resident_bytes
    //   latency  null, or p50_ms and p99_ms of the time since the last message
    //   workers  what status_json says of each, and busy (0 to 1)
    //   more_workers  that are left out
    std::string make(std::int64_t now_ms, std::int64_t unix_ms, bool answers);
    // The next one has no latency: there is no message before it.
    void forget() { latency_ = {}; }

  private:
    const CounterReader& reader_;
    std::string own_pool_;
    LatencyMeter latency_;
};

}  // namespace drover::observer
