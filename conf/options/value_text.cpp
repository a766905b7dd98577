#include "conf/options/value_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <span>

namespace drover {

namespace {

struct Unit {
    std::string_view name;
    std::int64_t factor;
};

// As they are written: the largest last.
constexpr std::array<Unit, 5> duration_units{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 3> size_units{{{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}}};
// As they are read.
constexpr std::array<Unit, 13> known_sizes{{{"", 1},
                                            {"K", 1 << 10},
                                            {"k", 1 << 10},
                                            {"KiB", 1 << 10},
                                            {"kB", 1000},
                                            {"M", 1 << 20},
                                            {"m", 1 << 20},
                                            {"MiB", 1 << 20},
                                            {"MB", 1'000'000},
                                            {"G", 1 << 30},
                                            {"g", 1 << 30},
                                            {"GiB", 1 << 30},
                                            {"GB", 1'000'000'000}}};

struct Part {
    std::int64_t value = 0;
    std::int64_t factor = 0;  // of its unit
};

bool is_digit(char letter) noexcept {
    return letter >= '0' && letter <= '9';
}

// Takes a number and its unit off the front.
std::optional<Part> take_part(std::string_view& text, std::span<const Unit> units) noexcept {
    if (text.empty() || !is_digit(text.front())) return {};
    std::int64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return {};
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    const auto end = std::ranges::find_if(text, is_digit);
    const std::string_view name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(name.size());
    const auto unit = std::ranges::find(units, name, &Unit::name);
    if (unit == units.end()) return {};
    Part part{0, unit->factor};
    if (__builtin_mul_overflow(number, unit->factor, &part.value)) return {};
    return part;
}

std::string with_unit(std::int64_t number, std::span<const Unit> units) {
    for (std::size_t index = units.size(); number != 0 && index-- > 0;)
        if (number % units[index].factor == 0)
            return std::to_string(number / units[index].factor).append(units[index].name);
    return std::to_string(number);
}

std::string children_text(const ImageNode& node, bool quoted) {
    const bool table = node.type() == ValueType::table;
    std::string result;
    for (std::uint32_t index = 0; index < node.size(); ++index) {
        const ImageNode child = node.child(index);
        if (table && child.is_default()) continue;
        result.append(result.empty() ? "" : ", ");
        if (table) result.append(child.name()).append(" = ");
        result.append(value_text(child, quoted));
    }
    if (table) return result.empty() ? "{}" : "{ " + result + " }";
    return "[" + result + "]";
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) noexcept {
    std::int64_t sum = 0;
    std::int64_t factor_before = std::numeric_limits<std::int64_t>::max();
    do {
        const std::optional<Part> part = take_part(text, duration_units);
        if (!part || part->factor >= factor_before) return {};
        if (__builtin_add_overflow(sum, part->value, &sum)) return {};
        factor_before = part->factor;
    } while (!text.empty());
    return sum;
}

std::optional<std::int64_t> parse_size(std::string_view text) noexcept {
    const std::optional<Part> part = take_part(text, known_sizes);
    if (!part || !text.empty()) return {};
    return part->value;
}

std::string duration_text(std::int64_t milliseconds) {
    return with_unit(milliseconds, duration_units);
}
std::string size_text(std::int64_t bytes) {
    return with_unit(bytes, size_units);
}

std::string toml_string(std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string result = "\"";
    for (const char letter : text) {
        const auto code = static_cast<unsigned char>(letter);
        if (letter == '"' || letter == '\\') {
            result.append({'\\', letter});
        } else if (letter == '\n') {
            result.append("\\n");
        } else if (letter == '\t') {
            result.append("\\t");
        } else if (letter == '\r') {
            result.append("\\r");
        } else if (code < 0x20 || code == 0x7f) {
            result.append({'\\', 'u', '0', '0', hex[code >> 4], hex[code & 15]});
        } else {
            result.push_back(letter);
        }
    }
    return result + "\"";
}

std::string shown_text(const ImageNode& node) {
    constexpr const char* mask = "********";
    const std::string_view text = node.text();
    const std::size_t named = std::min(text.find('='), text.size() - 1) + 1;
    const std::size_t shown = node.masking() == Masking::whole ? 0 : named;
    if (text.empty() || node.masking() == Masking::none || shown == text.size()) return std::string(text);
    return std::string(text.substr(0, shown)) + mask;
}

std::string integer_text(ValueType type, std::int64_t integer, bool quoted) {
    if (type == ValueType::boolean) return integer != 0 ? "true" : "false";
    const std::string text = type == ValueType::duration ? duration_text(integer)
                             : type == ValueType::size   ? size_text(integer)
                                                         : std::to_string(integer);
    const bool has_unit = text.back() < '0' || text.back() > '9';
    return quoted && has_unit ? "\"" + text + "\"" : text;
}

std::string value_text(const ImageNode& node, bool quoted) {
    if (!node) return "nothing";
    if (node.type() == ValueType::text) return toml_string(shown_text(node));
    if (node.type() == ValueType::list || node.type() == ValueType::table) return children_text(node, quoted);
    if (!node.text().empty()) return quoted ? toml_string(node.text()) : std::string(node.text());
    return integer_text(node.type(), node.integer(), quoted);
}

bool is_list_of_tables(const ImageNode& node) noexcept {
    return node && node.type() == ValueType::list && node.size() > 0 &&
           node.child(0).type() == ValueType::table;
}

std::string cut_text(std::string text, std::size_t limit) {
    if (text.size() <= limit) return text;
    std::size_t end = limit - std::min<std::size_t>(limit, 3);
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return text.substr(0, end) + "...";
}

}  // namespace drover
