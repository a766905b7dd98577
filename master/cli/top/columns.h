// The columns of top's table: what each says of a worker, how wide it is, what rows are sorted by, and which
// of them a narrow window goes without. 80 columns have room for all that matters and a short trend.
// Runs in: the command line.
#pragma once

#include "master/cli/top/rates.h"
#include "master/cli/top/text.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover::top {

struct Cell {
    std::string text;
    Style style = Style::plain;
};

struct Column {
    std::string_view title;
    std::size_t width;
    bool right;
    unsigned rank;  // the highest goes first when there is no room
    Cell (*cell)(const View& view, const WorkerView& worker);
    double (*order)(const View& view,
                    const WorkerView& worker);  // larger comes first; null: the worker's place
};

// The first is the worker's place, and is always there.
std::span<const Column> all_columns() noexcept;

struct Layout {
    std::vector<const Column*> columns = {};  // those that fit, in order
    std::size_t place_width = 0;              // of the first, in place of its own
    std::size_t gap = 1;                      // after each

    std::size_t width_of(const Column& column) const noexcept {
        return &column == &all_columns().front() ? place_width : column.width;
    }
};
// What is left of the width is for the trend.
Layout layout_for(const View& view, std::size_t width);

// core/protocol/status_page.h: silent_ms.
bool is_silent(const View& view, const WorkerView& worker) noexcept;

// At most five characters each.
std::string count_text(double count);                     // "12", "12345", "123k", "5.6M"
std::string rate_text(std::optional<double> per_second);  // "0.1", "12", "12.3k", "5.6M"
std::string time_text(std::optional<double> seconds);     // "35us", "1.2ms", "3.4s", "20m", "3h"
std::string short_bytes_text(std::uint64_t bytes);        // "512K", "4.0M", "123M", "1.5G"

}  // namespace drover::top
