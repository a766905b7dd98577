// What /metrics says: everything that is counted, in Prometheus' text format or in OpenMetrics. Pure
// functions of what was read of the counter table. Runs in: worker.
#pragma once

#include "core/counters/counter_reader.h"

#include <string>
#include <string_view>
#include <vector>

namespace drover::observer {

enum class MetricsFormat : std::uint8_t {
    prometheus,    // text format 0.0.4
    open_metrics,  // OpenMetrics 1.0
};

// The better one of those that an Accept header takes; Prometheus' own where it says nothing of either.
MetricsFormat accepted_format(std::string_view accept) noexcept;
// For Content-Type.
std::string_view media_type(MetricsFormat format) noexcept;

struct Metrics {
    // A gauge of CounterScope::worker, and what each live worker says.
    struct Gauge {
        std::string name;
        std::vector<CounterReader::WorkerValue> workers;
    };
    std::vector<CounterReader::Sum> sums = {};
    std::vector<Gauge> worker_gauges = {};
};

// Throws as CounterReader::sums() does.
Metrics read_metrics(const CounterReader& reader);

// Counters are sums over all workers there are and were. A gauge of each worker has the labels pool and slot,
// and, where a newer worker is in the same slot, older_pid. A histogram's buckets end where a power of two of
// what is counted begins, and at its bounds: the same set each time.
std::string metrics_text(const Metrics& metrics, MetricsFormat format);

}  // namespace drover::observer
