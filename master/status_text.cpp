#include "master/status_text.h"

#include "core/program.h"
#include "core/status_page.h"
#include "core/visible_text.h"
#include "worker/status_json.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace drover {

namespace {

struct TableColumn {
    std::string_view title;
    bool right = true;
};
constexpr std::array worker_columns = {
    TableColumn{"POOL", false},  TableColumn{"SLOT"},      TableColumn{"PID"},      TableColumn{"GEN"},
    TableColumn{"STATE", false}, TableColumn{"CONNS"},     TableColumn{"ACCEPTED"}, TableColumn{"RESTARTS"},
    TableColumn{"AGE"},          TableColumn{"HEARTBEAT"}, TableColumn{"CPU"},      TableColumn{"MEM"},
};
using TableRow = std::array<std::string, worker_columns.size()>;

// To the tenth while that tells anything.
std::string short_time_text(std::int64_t milliseconds) {
    const std::int64_t time_ms = std::max<std::int64_t>(milliseconds, 0);
    if (time_ms >= 10'000) return age_text(time_ms);
    return fmt::format("{}.{}s", time_ms / 1000, time_ms % 1000 / 100);
}

std::string last_reload_text(const MasterStatus& master) {
    if (master.last_reload == ReloadResult::none) return "last reload: none yet\n";
    if (master.last_reload == ReloadResult::ok) {
        return fmt::format("last reload: ok, generation {}\n", master.last_reload_generation);
    }
    std::string reason = visible_lines(master.last_reload_error);
    while (reason.ends_with('\n'))
        reason.pop_back();
    for (std::size_t end = reason.find('\n'); end != reason.npos; end = reason.find('\n', end + 3)) {
        reason.insert(end + 1, "  ");
    }
    return fmt::format("last reload: {}\n  {}\n",
                       master.last_reload == ReloadResult::rolled_back ? "rolled back" : "refused", reason);
}

TableRow worker_row(const CounterReader& reader, const WorkerStatus& worker, std::int64_t now_ms) {
    const bool process = worker.pid != 0;
    const WorkerLoad load = current_load(reader, worker);
    std::string state = to_text(worker.state);
    if (worker.state == WorkerState::backing_off) {
        const bool given_up = worker.next_attempt_ms == 0;
        state += given_up ? ", given up"
                          : fmt::format(", in {}", short_time_text(worker.next_attempt_ms - now_ms));
    }
    if (worker.leaves_by_ms != 0) {
        state += fmt::format(", {} left", short_time_text(worker.leaves_by_ms - now_ms));
    }
    const auto if_process = [process](std::string text) { return process ? std::move(text) : "-"; };
    return {visible_text(worker.pool),
            fmt::to_string(worker.slot),
            if_process(fmt::to_string(worker.pid)),
            fmt::to_string(worker.generation),
            std::move(state),
            fmt::to_string(load.connections),
            fmt::to_string(load.accepted),
            fmt::to_string(worker.restarts),
            if_process(age_text(now_ms - worker.started_ms)),
            worker.heartbeat_ms != 0 ? short_time_text(now_ms - worker.heartbeat_ms) : "-",
            if_process(short_time_text(static_cast<std::int64_t>(worker.cpu_us / 1000))),
            if_process(bytes_text(worker.resident_bytes))};
}

// The last death of each slot that had one.
std::string deaths_text(const std::vector<WorkerStatus>& workers, std::int64_t now_ms) {
    std::string text;
    for (const WorkerStatus& worker : workers) {
        const WorkerDeath& last = worker.recent_deaths[0];
        if (last.time_ms == 0) continue;
        fmt::format_to(std::back_inserter(text), "{}/{}: {} {}, the last {} ago: {}\n",
                       visible_text(worker.pool), worker.slot, worker.deaths,
                       worker.deaths == 1 ? "death" : "deaths", age_text(now_ms - last.time_ms),
                       visible_text(last.reason));
    }
    return text;
}

std::string render(const std::vector<TableRow>& rows) {
    std::array<std::size_t, worker_columns.size()> widths{};
    for (const TableRow& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const TableRow& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (i != 0) text += "  ";
            const std::size_t padding = widths[i] - row[i].size();
            if (worker_columns[i].right) text.append(padding, ' ');
            text += row[i];
            if (!worker_columns[i].right) text.append(padding, ' ');
        }
        text += '\n';
    }
    return text;
}

std::string value_text(const CounterReader::Sum& sum) {
    if (sum.kind == CounterKind::histogram) {
        return fmt::format("{} (p50 {:.3g}, p99 {:.3g} {})", sum.value, sum.in_units(sum.quantile(0.5)),
                           sum.in_units(sum.quantile(0.99)), visible_text(sum.unit));
    }
    if (sum.per_unit > 1) return fmt::format("{:.3f}", sum.amount());
    return sum.kind == CounterKind::gauge ? fmt::to_string(sum.gauge()) : fmt::to_string(sum.value);
}

// Gauges of each worker add up to nothing.
std::string counters_text(std::vector<CounterReader::Sum> sums) {
    std::erase_if(sums, [](const auto& sum) { return sum.scope == CounterScope::worker; });
    std::vector<std::string> names;
    std::vector<std::string> values;
    std::size_t name_width = 0;
    std::size_t value_width = 0;
    for (const CounterReader::Sum& sum : sums) {
        values.push_back(value_text(sum));
        names.push_back(visible_text(sum.text()));
        name_width = std::max(name_width, names.back().size());
        value_width = std::max(value_width, values.back().size());
    }
    std::string text;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        fmt::format_to(std::back_inserter(text), "{:<{}}  {:>{}}\n", names[i], name_width, values[i],
                       value_width);
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

std::string status_table(const CounterReader& reader, std::int64_t now_ms) {
    const StatusSnapshot status = reader.status_snapshot();
    const MasterStatus& master = status.master;
    std::string text = fmt::format(
        "{}  {}  pid {}  generation {}  up {}\n",
        visible_text(program_text(master.program, master.program_version, master.version)),
        to_text(master.state), master.pid, master.generation, age_text(now_ms - master.started_ms));
    text += last_reload_text(master);
    if (master.probation_until_ms != 0) {
        text += fmt::format("generation {} is on probation for {}\n", master.generation,
                            short_time_text(master.probation_until_ms - now_ms));
    }

    TableRow titles;
    std::ranges::transform(worker_columns, titles.begin(),
                           [](const TableColumn& column) { return std::string(column.title); });
    std::vector<TableRow> rows = {std::move(titles)};
    for (const WorkerStatus& worker : status.workers)
        rows.push_back(worker_row(reader, worker, now_ms));
    text += '\n' + render(rows);
    if (const std::string deaths = deaths_text(status.workers, now_ms); !deaths.empty()) {
        text += '\n' + deaths;
    }

    std::vector<CounterReader::Sum> sums = reader.sums();
    if (!sums.empty()) text += '\n' + counters_text(std::move(sums));
    return text;
}

}  // namespace drover
