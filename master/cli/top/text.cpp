#include "master/cli/top/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace drover::top {

namespace {

// ECMA-48, "select graphic rendition"; each begins with a reset.
std::string_view code_of(Style style) noexcept {
    switch (style) {
        case Style::plain:
            return "\x1b[0m";
        case Style::bold:
            return "\x1b[0;1m";
        case Style::dim:
            return "\x1b[0;2m";
        case Style::reverse:
            return "\x1b[0;7m";
        case Style::good:
            return "\x1b[0;32m";
        case Style::warning:
            return "\x1b[0;33m";
        case Style::bad:
            return "\x1b[0;31m";
    }
    return {};
}

constexpr std::array<std::string_view, 8> bars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

// Of nothing at all there is no bar, of little the lowest.
std::string_view bar_of(double value, double largest) noexcept {
    if (!(value > 0)) return " ";
    const double share = value / largest;
    const auto level = static_cast<std::size_t>(std::ceil(share * static_cast<double>(bars.size())));
    return bars[std::clamp<std::size_t>(level, 1, bars.size()) - 1];
}

}  // namespace

void Line::begin(Style style) {
    if (style == style_) return;
    style_ = style;
    if (styled_) text_ += code_of(style);
}

Line& Line::add(std::string_view text, Style style) {
    text = text.substr(0, left());
    if (text.empty()) return *this;
    begin(style);
    for (const char c : text)
        text_ += c >= 0x20 && c < 0x7f ? c : '?';
    used_ += text.size();
    return *this;
}

Line& Line::add_bars(std::span<const double> values, std::size_t width) {
    width = std::min(width, left());
    if (values.size() > width) values = values.last(width);
    fill_to(used_ + width - values.size());
    if (values.empty()) return *this;
    begin(Style::plain);
    const double largest = *std::ranges::max_element(values);
    for (const double value : values)
        text_ += bar_of(value, largest);
    used_ += values.size();
    return *this;
}

Line& Line::fill_to(std::size_t column, Style style) {
    column = std::min(column, width_);
    if (column <= used_) return *this;
    begin(style);
    text_.append(column - used_, ' ');
    used_ = column;
    return *this;
}

std::string Line::text() && {
    begin(Style::plain);
    return std::move(text_);
}

}  // namespace drover::top
