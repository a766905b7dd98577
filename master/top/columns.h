// The columns of top's table: what each says of a worker, how wide it is, what rows are sorted by, and which
// of them a narrow window goes without. Runs in: the command line.
#pragma once

#include "master/top/rates.h"
#include "master/top/text.h"

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

// Those that fit, in order. What is left of the width is for the trend.
std::vector<const Column*> columns_for(std::size_t width);

Style style_of(WorkerState state) noexcept;

// "12", "3.4k", "5.6M".
std::string rate_text(std::optional<double> per_second);
// "35us", "1.2ms", "3.4s".
std::string time_text(std::optional<double> seconds);

}  // namespace drover::top
