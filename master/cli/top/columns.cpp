#include "master/cli/top/columns.h"

#include "master/control/status_text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace drover::top {

namespace {

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

double seconds_of(std::int64_t milliseconds) noexcept {
    return static_cast<double>(milliseconds) / 1000;
}

std::int64_t silence_ms(const View& view, const WorkerView& worker) noexcept {
    const std::int64_t heard = worker.now.status.heartbeat_ms;
    return heard == 0 ? 0 : std::max<std::int64_t>(view.time_ms - heard, 0);
}

Cell place(const View&, const WorkerView& worker) {
    return {fmt::format("{}/{}", worker.now.status.pool, worker.now.status.slot), Style::bold};
}

// A worker that hangs says of itself what it said last.
Cell state(const View& view, const WorkerView& worker) {
    if (const auto silence = silent_ms(worker.now.status, view.time_ms)) {
        return {fmt::format("silent {}", *silence < 99'950 ? fmt::format("{}s", *silence / 1000)
                                                           : time_text(seconds_of(*silence))),
                Style::bad};
    }
    return {to_text(worker.now.status.state), style_of(worker.now.status.state)};
}

Cell pid(const View&, const WorkerView& worker) {
    return {worker.now.status.pid == 0 ? "-" : fmt::to_string(worker.now.status.pid)};
}

Cell generation(const View& view, const WorkerView& worker) {
    const bool old = worker.now.status.generation != view.master.generation;
    return {count_text(static_cast<double>(worker.now.status.generation)),
            old ? Style::warning : Style::plain};
}

Cell busy(const View&, const WorkerView& worker) {
    return {fmt::format("{:.0f}%", worker.now.busy * 100)};
}

Cell memory(const View&, const WorkerView& worker) {
    return {short_bytes_text(worker.now.status.resident_bytes)};
}

Cell connections(const View&, const WorkerView& worker) {
    return {count_text(static_cast<double>(worker.now.connections))};
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
    return {time_text(seconds_of(silence_ms(view, worker))),
            is_silent(view, worker) ? Style::bad : Style::plain};
}

constexpr std::array columns = {
    Column{"WORKER", 6, false, 0, place, nullptr},
    Column{"STATE", 11, false, 1, state,
           [](const View& view, const WorkerView& worker) {
               const double silence = is_silent(view, worker) ? double(silence_ms(view, worker)) : 0;
               return silence + double(worker.now.status.state);
           }},
    Column{"PID", 7, true, 13, pid,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.pid); }},
    Column{"GEN", 5, true, 12, generation,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.generation); }},
    Column{"CPU", 4, true, 3, busy, [](const View&, const WorkerView& worker) { return worker.now.busy; }},
    Column{"MEM", 5, true, 6, memory,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.resident_bytes); }},
    Column{"CONNS", 5, true, 4, connections,
           [](const View&, const WorkerView& worker) { return double(worker.now.connections); }},
    Column{"REQ/S", 5, true, 2, requests,
           [](const View&, const WorkerView& worker) { return worker.pace.requests.value_or(-1); }},
    Column{"ACC/S", 5, true, 11, accepted,
           [](const View&, const WorkerView& worker) { return worker.pace.accepted.value_or(-1); }},
    Column{"P50", 5, true, 8, median,
           [](const View&, const WorkerView& worker) { return worker.pace.p50.value_or(-1); }},
    Column{"P99", 5, true, 5, late,
           [](const View&, const WorkerView& worker) { return worker.pace.p99.value_or(-1); }},
    Column{"LAG", 5, true, 7, lag,
           [](const View&, const WorkerView& worker) { return worker.now.lag_seconds; }},
    Column{"HEARD", 5, true, 10, heard,
           [](const View& view, const WorkerView& worker) { return double(silence_ms(view, worker)); }},
    Column{"RESTARTS", 8, true, 9, restarts,
           [](const View&, const WorkerView& worker) { return double(worker.now.status.restarts); }},
};

constexpr unsigned essential = 9;  // ranks up to this one go after the rest, and after a long trend
constexpr std::size_t short_trend = 4;
constexpr std::size_t long_trend = 10;
constexpr std::size_t few = 5;  // columns, without which the trend says nothing
constexpr std::size_t widest_place = 16;
constexpr std::size_t roomy = 130;  // from this width on gaps are wide

std::size_t needed(const Layout& layout) {
    std::size_t width = 0;
    unsigned rank = 0;
    for (const Column* const column : layout.columns) {
        width += layout.width_of(*column) + layout.gap;
        rank = std::max(rank, column->rank);
    }
    if (layout.columns.size() <= few) return width;
    return width + (rank > essential ? long_trend : short_trend);
}

}  // namespace

std::span<const Column> all_columns() noexcept {
    return columns;
}

Layout layout_for(const View& view, std::size_t width) {
    Layout layout{.place_width = columns.front().width, .gap = width < roomy ? 1U : 2U};
    for (const Column& column : columns)
        layout.columns.push_back(&column);
    for (const WorkerView& worker : view.workers)
        layout.place_width = std::max(layout.place_width, place(view, worker).text.size());
    layout.place_width = std::min(layout.place_width, widest_place);
    while (layout.columns.size() > 1 && needed(layout) > width) {
        const auto rank = [](const Column* column) { return column->rank; };
        layout.columns.erase(std::ranges::max_element(layout.columns, {}, rank));
    }
    return layout;
}

bool is_silent(const View& view, const WorkerView& worker) noexcept {
    return silent_ms(worker.now.status, view.time_ms).has_value();
}

std::string count_text(double count) {
    if (count < 99'999.5) return fmt::format("{:.0f}", count);
    if (count < 999'500) return fmt::format("{:.0f}k", count / 1e3);
    if (count < 99.95e6) return fmt::format("{:.1f}M", count / 1e6);
    return fmt::format("{:.0f}M", count / 1e6);
}

std::string rate_text(std::optional<double> per_second) {
    if (!per_second) return "-";
    const double rate = *per_second;
    if (rate < 9.95) return fmt::format("{:.1f}", rate);
    if (rate < 9'999.5) return fmt::format("{:.0f}", rate);
    if (rate < 99'950) return fmt::format("{:.1f}k", rate / 1e3);
    return count_text(rate);
}

std::string time_text(std::optional<double> seconds) {
    if (!seconds) return "-";
    if (*seconds < 0.000'999'5) return fmt::format("{:.0f}us", *seconds * 1e6);
    if (*seconds < 0.009'95) return fmt::format("{:.1f}ms", *seconds * 1e3);
    if (*seconds < 0.999'5) return fmt::format("{:.0f}ms", *seconds * 1e3);
    if (*seconds < 99.95) return fmt::format("{:.1f}s", *seconds);
    if (*seconds < 999.5) return fmt::format("{:.0f}s", *seconds);
    if (*seconds < 5970) return fmt::format("{:.0f}m", *seconds / 60);
    return fmt::format("{:.0f}h", *seconds / 3600);
}

std::string short_bytes_text(std::uint64_t bytes) {
    constexpr double kilo = 1024;
    const double mebibytes = static_cast<double>(bytes) / kilo / kilo;
    if (mebibytes < 0.9995) return fmt::format("{:.0f}K", mebibytes * kilo);
    if (mebibytes < 99.95) return fmt::format("{:.1f}M", mebibytes);
    if (mebibytes < 999.5) return fmt::format("{:.0f}M", mebibytes);
    if (mebibytes < 99.95 * kilo) return fmt::format("{:.1f}G", mebibytes / kilo);
    return fmt::format("{:.0f}G", mebibytes / kilo);
}

}  // namespace drover::top
