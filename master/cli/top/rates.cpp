#include "master/cli/top/rates.h"

#include "master/cli/top/traffic.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace drover::top {

namespace {

bool counts_requests(const Sample& sample) {
    return std::ranges::any_of(
        sample.sums, [](const CounterReader::Sum& column) { return share_of(column) == Share::requests; });
}

Pace pace_of(const Traffic& traffic, bool counts_requests, double seconds) {
    Pace pace;
    if (counts_requests) pace.requests = static_cast<double>(traffic.requests) / seconds;
    pace.accepted = static_cast<double>(traffic.accepted) / seconds;
    pace.bytes_in = static_cast<double>(traffic.bytes_in) / seconds;
    pace.bytes_out = static_cast<double>(traffic.bytes_out) / seconds;
    pace.p50 = traffic.latency.quantile(0.5);
    pace.p99 = traffic.latency.quantile(0.99);
    return pace;
}

void remember(std::vector<double>& history, const Pace& pace) {
    if (history.size() == Rates::history_length) history.erase(history.begin());
    history.push_back(pace.requests.value_or(pace.accepted.value_or(0)));
}

using Slot = std::pair<std::string_view, std::uint32_t>;

Slot slot_of(const WorkerSample& worker) noexcept {
    return {worker.status.pool, worker.status.slot};
}

}  // namespace

const View& Rates::add(Sample sample) {
    const bool first = last_.time_ms == 0;
    const double seconds =
        static_cast<double>(std::max<std::int64_t>(sample.time_ms - last_.time_ms, 1)) / 1000;
    View next;
    next.time_ms = sample.time_ms;
    next.master = sample.master;
    next.connections = sample.connections;
    next.counts_requests = counts_requests(sample);
    next.history = std::move(view_.history);
    const TrafficBetween traffic(last_, sample);
    // A slot's history goes on when another process takes it.
    std::map<Slot, const std::vector<double>*> histories;
    for (const WorkerView& before : view_.workers)
        histories.emplace(slot_of(before.now), &before.history);
    for (const WorkerSample& worker : sample.workers) {
        WorkerView& row = next.workers.emplace_back(WorkerView{.now = worker});
        if (const auto known = histories.find(slot_of(worker)); known != histories.end())
            row.history = *known->second;
        if (!first) {
            row.pace = pace_of(traffic.of(worker), next.counts_requests, seconds);
            remember(row.history, row.pace);
        }
        next.busy += worker.busy;
        next.resident_bytes += worker.status.resident_bytes;
    }
    if (!first) {
        next.pace = pace_of(traffic.of_all(), next.counts_requests, seconds);
        remember(next.history, next.pace);
    }
    view_ = std::move(next);
    last_ = std::move(sample);
    return view_;
}

}  // namespace drover::top
