#include "master/top/columns.h"

#include "master/status_text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace drover::top {

namespace {

// A worker reports every second unless told otherwise, and is taken for hanging after ten.
constexpr std::int64_t long_silence_ms = 3000;

std::int64_t silence_ms(const View& view, const WorkerView& worker) noexcept {
    const std::int64_t heard = worker.now.status.heartbeat_ms;
    return heard == 0 ? 0 : std::max<std::int64_t>(view.time_ms - heard, 0);
}

Cell place(const View&, const WorkerView& worker) {
    return {fmt::format("{}/{}", worker.now.status.pool, worker.now.status.slot), Style::bold};
}

Cell state(const View&, const WorkerView& worker) {
    return {to_text(worker.now.status.state), style_of(worker.now.status.state)};
}

Cell pid(const View&, const WorkerView& worker) {
    return {worker.now.status.pid == 0 ? "-" : fmt::to_string(worker.now.status.pid)};
}

Cell generation(const View& view, const WorkerView& worker) {
    const bool old = worker.now.status.generation != view.master.generation;
    return {fmt::to_string(worker.now.status.generation), old ? Style::warning : Style::plain};
}

Cell busy(const View&, const WorkerView& worker) {
    return {fmt::format("{:.0f}%", worker.now.busy * 100)};
}

Cell memory(const View&, const WorkerView& worker) {
    return {bytes_text(worker.now.status.resident_bytes)};
}

Cell connections(const View&, const WorkerView& worker) {
    return {fmt::to_string(worker.now.connections)};
}

Cell requests(const View&, const WorkerView& worker) {
    return {rate_text(worker.pace.requests)};
}

Cell accepted(const View&, const WorkerView& worker) {
    return {rate_text(worker.pace.accepted)};
}

Cell lag(const View&, const WorkerView& worker) {
    return {time_text(worker.now.lag_seconds)};
}

Cell median(const View&, const WorkerView& worker) {
    return {time_text(worker.pace.p50)};
}

Cell late(const View&, const WorkerView& worker) {
    return {time_text(worker.pace.p99)};
}

Cell restarts(const View&, const WorkerView& worker) {
    return {fmt::to_string(worker.now.status.restarts),
            worker.now.status.deaths > 0 ? Style::warning : Style::plain};
}

Cell heard(const View& view, const WorkerView& worker) {
    if (worker.now.status.heartbeat_ms == 0) return {"-"};
    const std::int64_t silence = silence_ms(view, worker);
    return {fmt::format("{:.1f}s", static_cast<double>(silence) / 1000),
            silence > long_silence_ms ? Style::bad : Style::plain};
}

constexpr std::array columns = {
    Column{"WORKER", 12, false, 0, place, nullptr},
    Column{"STATE", 11, false, 1, state,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.state); }},
    Column{"PID", 7, true, 9, pid,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.pid); }},
    Column{"GEN", 4, true, 6, generation,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.generation); }},
    Column{"CPU", 4, true, 2, busy, [](const View&, const WorkerView& worker) { return worker.now.busy; }},
    Column{"MEM", 9, true, 5, memory,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.resident_bytes); }},
    Column{"CONNS", 6, true, 3, connections,
           [](const View&, const WorkerView& worker) { return double(worker.now.connections); }},
    Column{"REQ/S", 6, true, 1, requests,
           [](const View&, const WorkerView& worker) { return worker.pace.requests.value_or(-1); }},
    Column{"ACC/S", 6, true, 8, accepted,
           [](const View&, const WorkerView& worker) { return worker.pace.accepted.value_or(-1); }},
    Column{"P50", 6, true, 7, median,
           [](const View&, const WorkerView& worker) { return worker.pace.p50.value_or(-1); }},
    Column{"P99", 6, true, 4, late,
           [](const View&, const WorkerView& worker) { return worker.pace.p99.value_or(-1); }},
    Column{"LAG", 6, true, 7, lag,
           [](const View&, const WorkerView& worker) { return worker.now.lag_seconds; }},
    Column{"HEARD", 6, true, 8, heard,
           [](const View& view, const WorkerView& worker) { return double(silence_ms(view, worker)); }},
    Column{"RESTARTS", 8, true, 9, restarts,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.restarts); }},
};

constexpr std::size_t trend_width = 12;
constexpr std::size_t few = 5;  // columns, without which the trend says nothing

std::size_t width_of(const std::vector<const Column*>& shown) {
    std::size_t width = 0;
    for (const Column* const column : shown)
        width += column->width + 2;
    return width;
}

}  // namespace

std::span<const Column> all_columns() noexcept {
    return columns;
}

std::vector<const Column*> columns_for(std::size_t width) {
    std::vector<const Column*> shown;
    for (const Column& column : columns)
        shown.push_back(&column);
    const auto needed = [&] { return width_of(shown) + (shown.size() > few ? trend_width : 0); };
    while (shown.size() > 1 && needed() > width) {
        const auto rank = [](const Column* column) { return column->rank; };
        shown.erase(std::ranges::max_element(shown, {}, rank));
    }
    return shown;
}

Style style_of(WorkerState state) noexcept {
    switch (state) {
        case WorkerState::serving:
            return Style::good;
        case WorkerState::starting:
        case WorkerState::draining:
            return Style::warning;
        case WorkerState::backing_off:
            return Style::bad;
        case WorkerState::none:
            break;
    }
    return Style::dim;
}

std::string rate_text(std::optional<double> per_second) {
    if (!per_second) return "-";
    const double rate = *per_second;
    if (rate < 9.95) return fmt::format("{:.1f}", rate);
    if (rate < 9'999.5) return fmt::format("{:.0f}", rate);
    if (rate < 999'950) return fmt::format("{:.1f}k", rate / 1e3);
    return fmt::format("{:.1f}M", rate / 1e6);
}

std::string time_text(std::optional<double> seconds) {
    if (!seconds) return "-";
    if (*seconds < 0.000'999'5) return fmt::format("{:.0f}us", *seconds * 1e6);
    if (*seconds < 0.009'995) return fmt::format("{:.1f}ms", *seconds * 1e3);
    if (*seconds < 0.999'5) return fmt::format("{:.0f}ms", *seconds * 1e3);
    return fmt::format("{:.1f}s", *seconds);
}

}  // namespace drover::top
