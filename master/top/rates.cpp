#include "master/top/rates.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace drover::top {

namespace {

// None when less is counted than before: columns have left the configuration.
std::optional<double> per_second(std::uint64_t before, std::uint64_t now, double seconds) noexcept {
    if (now < before) return std::nullopt;
    return static_cast<double>(now - before) / seconds;
}

Pace pace_between(const Traffic& before, const Traffic& now, double seconds) {
    Pace pace;
    if (now.counts_requests) pace.requests = per_second(before.requests, now.requests, seconds);
    pace.accepted = per_second(before.accepted, now.accepted, seconds);
    pace.bytes_in = per_second(before.bytes_in, now.bytes_in, seconds);
    pace.bytes_out = per_second(before.bytes_out, now.bytes_out, seconds);
    const HistogramCounts between = now.latency.since(before.latency);
    pace.p50 = between.quantile(0.5);
    pace.p99 = between.quantile(0.99);
    return pace;
}

void remember(std::vector<double>& history, const Pace& pace) {
    if (history.size() == Rates::history_length) history.erase(history.begin());
    history.push_back(pace.requests.value_or(pace.accepted.value_or(0)));
}

bool same_slot(const WorkerStatus& one, const WorkerStatus& other) noexcept {
    return one.slot == other.slot && std::string_view(one.pool) == other.pool;
}

}  // namespace

// A slot's history goes on when another process takes it; its counts began then.
WorkerView Rates::follow(const WorkerSample& worker, double seconds) const {
    const auto process = std::ranges::find_if(last_.workers, [&](const WorkerSample& before) {
        return before.status.instance == worker.status.instance;
    });
    const auto slot = std::ranges::find_if(
        view_.workers, [&](const WorkerView& before) { return same_slot(before.now.status, worker.status); });
    WorkerView next{.now = worker};
    if (slot != view_.workers.end()) next.history = slot->history;
    const Traffic nothing;
    const Traffic& before = process != last_.workers.end() ? process->traffic : nothing;
    next.pace = pace_between(before, worker.traffic, seconds);
    remember(next.history, next.pace);
    return next;
}

const View& Rates::add(Sample sample) {
    const bool first = last_.time_ms == 0;
    const double seconds =
        static_cast<double>(std::max<std::int64_t>(sample.time_ms - last_.time_ms, 1)) / 1000;
    View next;
    next.time_ms = sample.time_ms;
    next.master = sample.master;
    next.connections = sample.connections;
    next.counts_requests = sample.traffic.counts_requests;
    next.history = std::move(view_.history);
    for (const WorkerSample& worker : sample.workers) {
        next.workers.push_back(first ? WorkerView{.now = worker} : follow(worker, seconds));
        next.busy += worker.busy;
        next.resident_bytes += worker.status.resident_bytes;
    }
    if (!first) {
        next.pace = pace_between(last_.traffic, sample.traffic, seconds);
        remember(next.history, next.pace);
    }
    view_ = std::move(next);
    last_ = std::move(sample);
    return view_;
}

}  // namespace drover::top
