#include "master/cli/top/screen.h"

#include "core/base/program.h"
#include "core/base/visible_text.h"
#include "master/cli/top/columns.h"
#include "master/control/status_text.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace drover::top {

namespace {

constexpr std::size_t once_head_width = 1000;
constexpr std::size_t once_width = 160;
constexpr std::size_t page = 10;

std::string last_reload_text(const MasterStatus& master) {
    if (master.last_reload == ReloadResult::none) return "no reload yet";
    return fmt::format("last reload {} (generation {})", to_text(master.last_reload),
                       master.last_reload_generation);
}

Style style_of(MasterState state) noexcept {
    if (state == MasterState::running) return Style::good;
    return state == MasterState::degraded ? Style::bad : Style::warning;
}

std::string bytes_rate_text(std::optional<double> per_second) {
    return per_second ? bytes_text(static_cast<std::uint64_t>(*per_second)) + "/s" : "-";
}

void add_figure(Line& line, std::string_view name, const std::string& text, Style style = Style::bold) {
    if (line.used() > 0) line.add("   ");
    line.add(name, Style::dim).add(" ").add(text, style);
}

void add_cell(Line& line, const Layout& layout, const Column& column, const Cell& cell, Style padding) {
    const std::size_t width = layout.width_of(column);
    const std::string_view text = std::string_view(cell.text).substr(0, width);
    const std::size_t end = line.used() + width;
    if (column.right) line.fill_to(end - text.size(), padding);
    line.add(text, cell.style).fill_to(end + layout.gap, padding);
}

}  // namespace

bool Screen::press(Key key, const View& view) {
    const std::vector<const WorkerView*> rows = sorted(view);
    switch (key) {
        case Key::quit:
            return false;
        case Key::up:
            select(rows, -1);
            break;
        case Key::down:
            select(rows, 1);
            break;
        case Key::page_up:
            select(rows, -static_cast<std::ptrdiff_t>(page));
            break;
        case Key::page_down:
            select(rows, page);
            break;
        case Key::enter:
            select(rows, 0);
            close_ = !close_ && !rows.empty();
            break;
        case Key::back:
            close_ = false;
            break;
        case Key::sort:
            sort_column_ = (sort_column_ + 1) % all_columns().size();
            break;
        case Key::reverse:
            reversed_ = !reversed_;
            break;
        case Key::pause:
            paused_ = !paused_;
            break;
        case Key::other:
            break;
    }
    return true;
}

std::vector<const WorkerView*> Screen::sorted(const View& view) const {
    std::vector<const WorkerView*> rows;
    for (const WorkerView& worker : view.workers)
        rows.push_back(&worker);
    if (const auto order = all_columns()[sort_column_].order; order != nullptr) {
        std::ranges::stable_sort(rows, std::ranges::greater(),
                                 [&](const WorkerView* worker) { return order(view, *worker); });
    }
    if (reversed_) std::ranges::reverse(rows);
    return rows;
}

const WorkerView* Screen::selected(const std::vector<const WorkerView*>& rows) const {
    const WorkerView* best = rows.empty() ? nullptr : rows.front();
    for (const WorkerView* const worker : rows) {
        const WorkerStatus& status = worker->now.status;
        if (status.pool != selected_pool_ || status.slot != selected_slot_) continue;
        best = worker;
        if (status.instance == selected_instance_) break;
    }
    return best;
}

void Screen::select(const std::vector<const WorkerView*>& rows, std::ptrdiff_t step) {
    if (rows.empty()) return;
    const auto now = std::ranges::find(rows, selected(rows)) - rows.begin();
    const auto last = static_cast<std::ptrdiff_t>(rows.size()) - 1;
    const WorkerStatus& status =
        rows[static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(now + step, 0, last))]->now.status;
    selected_pool_ = status.pool;
    selected_slot_ = status.slot;
    selected_instance_ = status.instance;
}

void Screen::draw_head(const View& view, std::size_t width, std::vector<std::string>& lines) const {
    const MasterStatus& master = view.master;
    Line first = line(width);
    first.add(visible_text(program_text(master.program, master.program_version, master.version)) + "  ",
              Style::bold);
    first.add(to_text(master.state), style_of(master.state));
    first.add(fmt::format("  generation {}", master.generation));
    if (master.probation_until_ms != 0) first.add(" on probation", Style::warning);
    first.add(fmt::format("  up {}  pid {}  ", age_text(view.time_ms - master.started_ms), master.pid));
    const bool well = master.last_reload == ReloadResult::none || master.last_reload == ReloadResult::ok;
    first.add(last_reload_text(master), well ? Style::plain : Style::bad);
    if (paused_) first.add("  paused", Style::reverse);
    lines.push_back(std::move(first).text());

    const auto serving = std::ranges::count_if(view.workers, [](const WorkerView& worker) {
        return worker.now.status.state == WorkerState::serving;
    });
    Line second = line(width);
    add_figure(second, "workers", fmt::format("{}/{}", serving, view.workers.size()));
    const auto silent = std::ranges::count_if(
        view.workers, [&](const WorkerView& worker) { return is_silent(view, worker); });
    if (silent > 0) add_figure(second, "silent", fmt::to_string(silent), Style::bad);
    add_figure(second, "cpu", fmt::format("{:.0f}%", view.busy * 100));
    add_figure(second, "memory", bytes_text(view.resident_bytes));
    add_figure(second, "connections", fmt::to_string(view.connections));
    if (view.counts_requests) add_figure(second, "requests/s", rate_text(view.pace.requests));
    add_figure(second, "accepted/s", rate_text(view.pace.accepted));
    if (view.pace.p50) {
        add_figure(second, "p50", time_text(view.pace.p50));
        add_figure(second, "p99", time_text(view.pace.p99));
    }
    add_figure(second, "in", bytes_rate_text(view.pace.bytes_in));
    add_figure(second, "out", bytes_rate_text(view.pace.bytes_out));
    lines.push_back(std::move(second).text());
}

std::string Screen::titles(const Layout& layout, std::size_t width) const {
    Line titles = line(width);
    for (const Column* const column : layout.columns) {
        const bool sorts = column == &all_columns()[sort_column_];
        add_cell(titles, layout, *column, {std::string(column->title), sorts ? Style::bold : Style::dim},
                 Style::plain);
    }
    constexpr std::string_view trend = "TREND";
    if (titles.left() >= trend.size()) titles.add(trend, Style::dim);
    return std::move(titles).text();
}

// Bad values keep their colour where the row is selected.
std::string Screen::row(const View& view, const WorkerView& worker, const Layout& layout, std::size_t width,
                        bool selected) const {
    Line row = line(width);
    for (const Column* const column : layout.columns) {
        Cell cell = column->cell(view, worker);
        if (selected && cell.style != Style::bad) cell.style = Style::reverse;
        add_cell(row, layout, *column, cell, selected ? Style::reverse : Style::plain);
    }
    row.add_bars(worker.history, std::min(row.left(), Rates::history_length));
    return std::move(row).text();
}

// `lines` of them at most, the selected one among them.
std::vector<std::string> Screen::table(const View& view, std::size_t width, std::size_t lines) {
    const Layout layout = layout_for(view, width);
    std::vector<std::string> drawn = {titles(layout, width)};
    const std::vector<const WorkerView*> rows = sorted(view);
    const WorkerView* const chosen = selected(rows);
    const auto position = static_cast<std::size_t>(std::ranges::find(rows, chosen) - rows.begin());
    const std::size_t room = std::max<std::size_t>(lines, 2) - 1;
    if (position < first_row_) first_row_ = position;
    if (position >= first_row_ + room) first_row_ = position + 1 - room;
    first_row_ = std::min(first_row_, rows.size() - std::min(rows.size(), room));
    for (std::size_t i = first_row_; i < rows.size() && i < first_row_ + room; ++i)
        drawn.push_back(row(view, *rows[i], layout, width, rows[i] == chosen));
    return drawn;
}

std::vector<std::string> Screen::details(const View& view, const WorkerView& worker,
                                         std::size_t width) const {
    std::vector<std::string> lines;
    const WorkerStatus& status = worker.now.status;
    const auto add = [&](std::string_view name, const std::string& text, Style style = Style::plain) {
        Line one = line(width);
        one.add(fmt::format("  {:<22}", name), Style::dim).add(text, style);
        lines.push_back(std::move(one).text());
    };
    const auto add_column = [&](const Column& column) {
        const Cell cell = column.cell(view, worker);
        add(column.title, cell.text, cell.style);
    };
    add_column(all_columns().front());
    add("DEATHS", fmt::to_string(status.deaths), status.deaths > 0 ? Style::bad : Style::plain);
    for (const WorkerDeath& death : status.recent_deaths) {
        if (death.time_ms == 0) continue;
        add("", fmt::format("{} ago: {}", age_text(view.time_ms - death.time_ms), death.reason));
    }
    std::ranges::for_each(all_columns().subspan(1), add_column);
    add("AGE", status.pid == 0 ? "-" : age_text(view.time_ms - status.started_ms));
    add("RECEIVED", bytes_rate_text(worker.pace.bytes_in));
    add("SENT", bytes_rate_text(worker.pace.bytes_out));
    Line trend = line(width);
    trend.add(fmt::format("  {:<22}", "TREND"), Style::dim).add_bars(worker.history, Rates::history_length);
    lines.push_back(std::move(trend).text());
    return lines;
}

std::string Screen::keys(std::size_t width) const {
    Line keys = line(width);
    const auto add = [&](std::string_view key, std::string_view meaning) {
        keys.add(key, Style::bold).add(" ").add(meaning, Style::dim).add("  ");
    };
    add("q", "quit");
    add("p", paused_ ? "go on" : "pause");
    if (close_) {
        add("esc", "all workers");
    } else {
        add("s", fmt::format("sort ({})", all_columns()[sort_column_].title));
        add("r", "reverse");
        add("enter", "look closer");
    }
    add("up/down", "choose");
    return std::move(keys).text();
}

std::vector<std::string> Screen::draw(const View& view, Size size) {
    std::vector<std::string> lines;
    draw_head(view, size.columns, lines);
    lines.emplace_back();
    const std::size_t room = size.lines - std::min(size.lines, lines.size() + 1);
    const WorkerView* const chosen = close_ ? selected(sorted(view)) : nullptr;
    std::vector<std::string> body =
        chosen != nullptr ? details(view, *chosen, size.columns) : table(view, size.columns, room);
    body.resize(room);
    std::ranges::move(body, std::back_inserter(lines));
    lines.push_back(keys(size.columns));
    lines.resize(std::min(lines.size(), size.lines));
    return lines;
}

std::vector<std::string> Screen::draw_once(const View& view) {
    std::vector<std::string> lines;
    draw_head(view, once_head_width, lines);
    lines.emplace_back();
    const Layout layout = layout_for(view, once_width);
    lines.push_back(titles(layout, once_width));
    for (const WorkerView* const worker : sorted(view))
        lines.push_back(row(view, *worker, layout, once_width, false));
    return lines;
}

}  // namespace drover::top
