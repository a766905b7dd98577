#include "master/control/status_text.h"

#include "conf/counters.h"
#include "core/base/program.h"
#include "core/base/visible_text.h"
#include "core/protocol/status_json.h"
#include "core/protocol/status_page.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace drover {

namespace {

// A normal service fits on a screen; of a large pool those are shown that are not as they should be.
constexpr std::size_t most_workers_shown = 12;
constexpr std::size_t most_deaths_shown = 5;

struct TableColumn {
    std::string_view title;
    bool right = true;
};
using TableRow = std::vector<std::string>;
constexpr std::array pool_columns = {
    TableColumn{"POOL", false}, TableColumn{"SERVING"}, TableColumn{"CONNS"},
    TableColumn{"ACCEPTED"},    TableColumn{"CPU"},     TableColumn{"MEM"},
};
constexpr std::array listener_columns = {
    TableColumn{"LISTENER", false}, TableColumn{"POOL", false}, TableColumn{"MODULE", false},
    TableColumn{"WAITING"},         TableColumn{"DROPPED"},
};
constexpr std::array worker_columns = {
    TableColumn{"WORKER", false}, TableColumn{"PID"},   TableColumn{"GEN"},
    TableColumn{"STATE", false},  TableColumn{"CONNS"}, TableColumn{"ACCEPTED"},
    TableColumn{"RESTARTS"},      TableColumn{"AGE"},   TableColumn{"HEARTBEAT"},
    TableColumn{"CPU"},           TableColumn{"MEM"},
};

// To the tenth while that tells anything.
std::string short_time_text(std::int64_t milliseconds) {
    const std::int64_t time_ms = std::max<std::int64_t>(milliseconds, 0);
    if (time_ms >= 10'000) return age_text(time_ms);
    return fmt::format("{}.{}s", time_ms / 1000, time_ms % 1000 / 100);
}

std::string last_reload_text(const MasterStatus& master, std::int64_t now_ms) {
    if (master.last_reload == ReloadResult::none) return "last reload: none yet\n";
    const std::string age = age_text(now_ms - master.last_reload_ms);
    if (master.last_reload == ReloadResult::ok) {
        return fmt::format("last reload: ok, generation {}, {} ago\n", master.last_reload_generation, age);
    }
    std::string reason = visible_lines(master.last_reload_error);
    while (reason.ends_with('\n'))
        reason.pop_back();
    for (std::size_t end = reason.find('\n'); end != reason.npos; end = reason.find('\n', end + 3)) {
        reason.insert(end + 1, "  ");
    }
    return fmt::format("last reload: {}, {} ago\n  {}\n",
                       master.last_reload == ReloadResult::rolled_back ? "rolled back" : "refused", age,
                       reason);
}

// A line for each way in which the service is less than it should be.
std::string trouble_text(const CounterReader& reader, const ServingView& view) {
    std::string text;
    for (const std::string& degradation : degradations(view))
        text += "degraded: " + visible_text(degradation) + '\n';
    constexpr std::array lost_lines = {std::pair("drover_log_lines_lost_total", "log"),
                                       std::pair("drover_http_access_log_lost_total", "access log")};
    for (const auto& [counter, log] : lost_lines) {
        if (const std::uint64_t lost = reader.sum(counter); lost > 0)
            fmt::format_to(std::back_inserter(text), "lost: {} lines of the {}\n", lost, log);
    }
    return text;
}

// The worker's last report may be old: a stopped worker said that it serves.
std::string state_text(const WorkerStatus& worker, std::int64_t now_ms) {
    std::string state = to_text(worker.state);
    if (const auto silence = silent_ms(worker, now_ms)) {
        state = worker.stands_still != 0 ? "stands still, " : "";
        state += fmt::format("silent {}", short_time_text(*silence));
    }
    if (worker.state == WorkerState::backing_off) {
        const bool given_up = worker.next_attempt_ms == 0;
        state += given_up ? ", given up"
                          : fmt::format(", in {}", short_time_text(worker.next_attempt_ms - now_ms));
    }
    if (worker.leaves_by_ms != 0) {
        state += fmt::format(", {} left", short_time_text(worker.leaves_by_ms - now_ms));
    }
    return state;
}

TableRow worker_row(const CounterReader& reader, const WorkerStatus& worker, std::int64_t now_ms) {
    const bool process = worker.pid != 0;
    const WorkerLoad load = current_load(reader, worker);
    const auto if_process = [process](std::string text) { return process ? std::move(text) : "-"; };
    return {fmt::format("{}/{}", visible_text(worker.pool), worker.slot),
            if_process(fmt::to_string(worker.pid)),
            fmt::to_string(worker.generation),
            state_text(worker, now_ms),
            fmt::to_string(load.connections),
            fmt::to_string(load.accepted),
            fmt::to_string(worker.restarts),
            if_process(age_text(now_ms - worker.started_ms)),
            worker.heartbeat_ms != 0 ? short_time_text(now_ms - worker.heartbeat_ms) : "-",
            if_process(short_time_text(static_cast<std::int64_t>(worker.cpu_us / 1000))),
            if_process(bytes_text(worker.resident_bytes))};
}

TableRow pool_row(const CounterReader& reader, const StatusSnapshot& status, const ServingView::Pool& pool) {
    WorkerLoad load;
    std::uint64_t cpu_us = 0;
    std::uint64_t resident = 0;
    for (const WorkerStatus& worker : status.workers) {
        if (worker.pool != pool.name) continue;
        const WorkerLoad part = current_load(reader, worker);
        load.connections += part.connections;
        load.accepted += part.accepted;
        cpu_us += worker.cpu_us;
        resident += worker.resident_bytes;
    }
    return {pool.name,
            fmt::format("{}/{}", pool.serving, pool.workers),
            fmt::to_string(load.connections),
            fmt::to_string(load.accepted),
            short_time_text(static_cast<std::int64_t>(cpu_us / 1000)),
            bytes_text(resident)};
}

// As the master counts them for a listener, which the kernel says; "-": it does not.
std::string listener_figure(const std::vector<CounterReader::Sum>& sums,
                            const ServingView::Listener& listener, std::span<const std::string_view> names) {
    const std::vector<CounterLabel> labels = listener_labels({listener.pool, listener.address});
    for (const CounterReader::Sum& sum : sums) {
        if (std::ranges::find(names, sum.name) != names.end() && sum.labels == labels)
            return fmt::to_string(sum.value);
    }
    return "-";
}

TableRow listener_row(const std::vector<CounterReader::Sum>& sums, const ServingView::Listener& listener) {
    constexpr std::array<std::string_view, 2> waiting = {"drover_listener_queue_connections",
                                                         "drover_listener_queue_bytes"};
    constexpr std::array<std::string_view, 2> dropped = {"drover_listener_drops_total",
                                                         "drover_listener_datagram_drops_total"};
    const std::string absent = listener.absence.empty() ? "" : " (absent)";
    return {visible_text(listener.shown) + absent, listener.pool, visible_text(listener.module),
            listener_figure(sums, listener, waiting), listener_figure(sums, listener, dropped)};
}

bool is_well(const WorkerStatus& worker, std::int64_t now_ms) {
    return worker.state == WorkerState::serving && !silent_ms(worker, now_ms);
}

// Counts the workers that are not shown. The screen shows those that are not well first.
std::string rest_text(const std::vector<WorkerStatus>& workers, std::size_t shown, std::int64_t now_ms) {
    const auto unwell = static_cast<std::size_t>(
        std::ranges::count_if(workers, [now_ms](const auto& worker) { return !is_well(worker, now_ms); }));
    const std::size_t rest = workers.size() - shown;
    if (unwell <= shown) return fmt::format("and {} more that serve\n", rest);
    return fmt::format("and {} more, of which {} do not serve\n", rest, unwell - shown);
}

// Those that are not as they should be, then others, in the page's order.
std::vector<std::size_t> workers_to_show(const std::vector<WorkerStatus>& workers, std::int64_t now_ms) {
    std::vector<std::size_t> shown;
    for (const bool well : {false, true}) {
        for (std::size_t i = 0; i < workers.size() && shown.size() < most_workers_shown; ++i)
            if (is_well(workers[i], now_ms) == well) shown.push_back(i);
    }
    std::ranges::sort(shown);
    return shown;
}

// The last death of each slot that had one.
std::string deaths_text(const std::vector<WorkerStatus>& workers, std::int64_t now_ms) {
    std::string text;
    std::size_t slots = 0;
    for (const WorkerStatus& worker : workers) {
        const WorkerDeath& last = worker.recent_deaths[0];
        if (last.time_ms == 0 || ++slots > most_deaths_shown) continue;
        fmt::format_to(std::back_inserter(text), "{}/{}: {} {}, the last {} ago: {}\n",
                       visible_text(worker.pool), worker.slot, worker.deaths,
                       worker.deaths == 1 ? "death" : "deaths", age_text(now_ms - last.time_ms),
                       visible_text(last.reason));
    }
    if (slots > most_deaths_shown)
        fmt::format_to(std::back_inserter(text), "and deaths in {} more\n", slots - most_deaths_shown);
    return text;
}

std::string render(std::span<const TableColumn> columns, const std::vector<TableRow>& rows) {
    std::vector<TableRow> all(1);
    for (const TableColumn& column : columns)
        all[0].emplace_back(column.title);
    all.insert(all.end(), rows.begin(), rows.end());
    std::vector<std::size_t> widths(columns.size());
    for (const TableRow& row : all) {
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text = "\n";
    for (const TableRow& row : all) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i != 0) text += "  ";
            const std::size_t padding = widths[i] - row[i].size();
            if (columns[i].right) text.append(padding, ' ');
            text += row[i];
            if (!columns[i].right) text.append(padding, ' ');
        }
        text += '\n';
    }
    return text;
}

}  // namespace

std::string age_text(std::int64_t milliseconds) {
    const std::int64_t seconds = std::max<std::int64_t>(milliseconds, 0) / 1000;
    const std::int64_t minutes = seconds / 60;
    const std::int64_t hours = minutes / 60;
    if (minutes == 0) return fmt::format("{}s", seconds);
    if (hours == 0) return fmt::format("{}m {:02}s", minutes, seconds % 60);
    if (hours < 24) return fmt::format("{}h {:02}m", hours, minutes % 60);
    return fmt::format("{}d {:02}h", hours / 24, hours % 24);
}

std::string bytes_text(std::uint64_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    constexpr std::array<std::string_view, 5> units = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double amount = static_cast<double>(bytes) / 1024.0;
    std::size_t unit = 0;
    // Above this the next digit would be printed as 1024.0.
    while (amount >= 1023.95 && unit + 1 < units.size()) {
        amount /= 1024.0;
        ++unit;
    }
    return fmt::format("{:.1f} {}", amount, units[unit]);
}

std::string missed_text(const ServingView::Listener& listener) {
    return fmt::format("pool {} goes without its optional listener {}: {}", listener.pool, listener.address,
                       listener.absence);
}

std::vector<std::string> degradations(const ServingView& view) {
    std::vector<std::string> lines;
    for (const ServingView::Pool& pool : view.pools) {
        if (pool.serving >= pool.min_healthy) continue;
        lines.push_back(fmt::format("in pool {} {} of {} workers serve, and min_healthy is {}", pool.name,
                                    pool.serving, pool.workers, pool.min_healthy));
    }
    for (const ServingView::Listener& listener : view.listeners) {
        if (listener.missed) lines.push_back(missed_text(listener));
    }
    return lines;
}

void write_serving(JsonWriter& json, const ServingView& view) {
    json.key("degraded");
    json.begin_array();
    for (const std::string& degradation : degradations(view))
        json.value(degradation);
    json.end_array();
    json.key("listeners");
    json.begin_array();
    for (const ServingView::Listener& listener : view.listeners) {
        json.begin_object();
        json.member("address", listener.address);
        json.member("bound", listener.shown);
        json.member("pool", listener.pool);
        json.member("module", listener.module);
        json.key("absent");
        listener.absence.empty() ? json.null() : json.value(listener.absence);
        json.end_object();
    }
    json.end_array();
}

std::string status_screen(const CounterReader& reader, const ServingView& view, std::int64_t now_ms) {
    const StatusSnapshot status = reader.status_snapshot();
    const MasterStatus& master = status.master;
    std::string text = fmt::format(
        "{}  {}  pid {}  generation {}  up {}\n",
        visible_text(program_text(master.program, master.program_version, master.version)),
        to_text(master.state), master.pid, master.generation, age_text(now_ms - master.started_ms));
    text += last_reload_text(master, now_ms);
    if (master.probation_until_ms != 0) {
        text += fmt::format("generation {} is on probation for {}\n", master.generation,
                            short_time_text(master.probation_until_ms - now_ms));
    }
    text += trouble_text(reader, view);
    if (!view.automatic.empty())
        text += fmt::format("chosen for this machine: {}\n", fmt::join(view.automatic, ", "));

    std::vector<TableRow> pools;
    for (const ServingView::Pool& pool : view.pools)
        pools.push_back(pool_row(reader, status, pool));
    text += render(pool_columns, pools);

    const std::vector<CounterReader::Sum> sums = reader.sums();
    std::vector<TableRow> listeners;
    for (const ServingView::Listener& listener : view.listeners)
        listeners.push_back(listener_row(sums, listener));
    if (!listeners.empty()) text += render(listener_columns, listeners);

    std::vector<TableRow> workers;
    for (const std::size_t index : workers_to_show(status.workers, now_ms))
        workers.push_back(worker_row(reader, status.workers[index], now_ms));
    text += render(worker_columns, workers);
    if (workers.size() < status.workers.size()) text += rest_text(status.workers, workers.size(), now_ms);
    if (const std::string deaths = deaths_text(status.workers, now_ms); !deaths.empty()) {
        text += '\n' + deaths;
    }
    return text;
}

}  // namespace drover
