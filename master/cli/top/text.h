// A line of a terminal's screen, made of pieces with a style each: never wider than it may be. Any character
// but printable ASCII and the bars of a sparkline comes out as '?'. Runs in: the command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace drover::top {

enum class Style : std::uint8_t { plain, bold, dim, reverse, good, warning, bad };

class Line {
  public:
    explicit Line(std::size_t width, bool styled) noexcept : width_(width), styled_(styled) {}

    // Cut at the width.
    Line& add(std::string_view text, Style style = Style::plain);
    // The newest at the right end, in `width` cells; the highest bar is the largest value of those that are
    // shown. Nothing is drawn for a time of which nothing is known.
    Line& add_bars(std::span<const double> values, std::size_t width);
    Line& fill_to(std::size_t column, Style style = Style::plain);

    std::size_t used() const noexcept { return used_; }
    std::size_t left() const noexcept { return width_ - used_; }
    std::string text() &&;

  private:
    void begin(Style style);

    std::size_t width_;
    bool styled_;
    std::size_t used_ = 0;
    Style style_ = Style::plain;
    std::string text_;
};

}  // namespace drover::top
