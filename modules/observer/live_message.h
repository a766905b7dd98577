// What the dashboard is told once a second: one line of JSON, of a bounded size. Runs in: worker.
#pragma once

#include "core/base/json_writer.h"
#include "core/counters/counter_reader.h"
#include "core/protocol/status_page.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drover::observer {

struct Latency {
    double p50_ms = 0;
    double p99_ms = 0;
};

// How long requests took, of the histograms of drover_http_request_seconds, all routes together. None when
// there was no request.
std::optional<Latency> latency_of(const std::vector<CounterReader::Sum>& counted);

struct LiveMoment {
    std::int64_t now_ms = 0;   // CLOCK_MONOTONIC
    std::int64_t unix_ms = 0;  // the time of day
    bool answers = false;      // the master does
};

class LiveMessage {
  public:
    // Lines of workers in one message.
    static constexpr std::size_t most_workers = 256;

    LiveMessage(const CounterReader& reader, std::string_view own_pool)
        : reader_(reader), own_pool_(own_pool) {}

    // Rates are made by who reads two of them. Throws as CounterReader does.
    //
    //   time_ms, now_ms, answers
    //   master   what status_json says of it
    //   totals   accepted, received_bytes, sent_bytes, queue, drops, cpu_s; requests and errors, null where
    //            nothing of the kind is counted; without the observer's own: connections, resident_bytes.
    //            What grows, grows by what was counted since the message before: a route that comes back
    //            with its old total was not asked for a million times in a second
    //   latency  null, or p50_ms and p99_ms of the time since the last message
    //   workers  what status_json says of each, busy (0 to 1), and silent_s: null, or since when nothing was
    //            heard of one that should report (silent_ms)
    //   more_workers  that are left out
    std::string make(const LiveMoment& moment);
    // The next one has no latency: there is no message before it.
    void forget();

  private:
    void write_workers(JsonWriter& json, const StatusSnapshot& status, const LiveMoment& moment) const;
    void write_totals(JsonWriter& json, const StatusSnapshot& status,
                      const std::vector<CounterReader::Sum>& now,
                      const std::vector<CounterReader::Sum>& counted);

    const CounterReader& reader_;
    std::string own_pool_;
    std::vector<CounterReader::Sum> before_;          // empty: there is no message before the next one
    std::map<std::string_view, double> totals_ = {};  // that grow, by what they are called in a message
};

}  // namespace drover::observer
