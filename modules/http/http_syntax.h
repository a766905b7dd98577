// The character sets of RFC 9110 and RFC 9112 as tables, and comparisons without regard to case.
// Runs in: worker.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace drover::http {

namespace detail {

enum CharacterSet : std::uint8_t { token = 1, target = 2, host = 4, field_value = 8 };

constexpr std::array<std::uint8_t, 256> make_character_sets() {
    std::array<std::uint8_t, 256> sets{};
    const auto add = [&sets](std::string_view characters, std::uint8_t set) {
        for (const char c : characters)
            sets[static_cast<unsigned char>(c)] |= set;
    };
    for (unsigned c = 0x21; c <= 0x7e; ++c)
        sets[c] |= target | field_value;
    for (unsigned c = 0x80; c <= 0xff; ++c)
        sets[c] |= field_value;
    add("\t ", field_value);
    sets['#'] &= static_cast<std::uint8_t>(~target);  // a fragment is never sent
    const std::string_view letters_and_digits =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    add(letters_and_digits, token | host);
    add("!#$%&'*+-.^_`|~", token);
    add("-._~%!$&'()*+;=", host);  // without the comma: it is what joined duplicates look like
    return sets;
}

inline constexpr auto character_sets = make_character_sets();

constexpr bool is_in(char c, std::uint8_t set) noexcept {
    return (character_sets[static_cast<unsigned char>(c)] & set) != 0;
}

constexpr bool all_in(std::string_view text, std::uint8_t set) noexcept {
    for (const char c : text)
        if (!is_in(c, set)) return false;
    return true;
}

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

}  // namespace detail

constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}
constexpr bool is_token_character(char c) noexcept {
    return detail::is_in(c, detail::token);
}
constexpr bool is_field_value_character(char c) noexcept {
    return detail::is_in(c, detail::field_value);
}
constexpr bool is_token(std::string_view text) noexcept {
    return !text.empty() && detail::all_in(text, detail::token);
}
constexpr bool is_target(std::string_view text) noexcept {
    return !text.empty() && detail::all_in(text, detail::target);
}
// Text of a header value: no control character but the tab.
constexpr bool is_field_value(std::string_view text) noexcept {
    return detail::all_in(text, detail::field_value);
}

// A host name as it is compared: in lower case, without a final dot.
std::string lower_host(std::string_view host);
// uri-host [ ":" [ port ] ], RFC 9110, 7.2; not empty. No label of a name is empty (RFC 1034, 3.1), a port is
// 1 to 65535.
bool is_host(std::string_view text) noexcept;
// uri-host ":" port with a port that there can be: what CONNECT asks for (RFC 9110, 9.3.6).
bool is_host_with_port(std::string_view text) noexcept;

// "a.org." is "a.org", said so that no search list is tried (RFC 1034, 3.1).
constexpr std::string_view without_final_dot(std::string_view name) noexcept {
    if (name.ends_with('.')) name.remove_suffix(1);
    return name;
}

// `lower_case` is in lower case already.
constexpr bool equals_ignoring_case(std::string_view text, std::string_view lower_case) noexcept {
    if (text.size() != lower_case.size()) return false;
    for (std::size_t index = 0; index < text.size(); ++index)
        if (detail::lower(text[index]) != lower_case[index]) return false;
    return true;
}

constexpr std::string_view trim_blanks(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

// Takes the first element off a comma-separated list, without the blanks around it.
constexpr std::string_view take_list_element(std::string_view& list) noexcept {
    const std::size_t comma = list.find(',');
    const std::string_view element = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    return trim_blanks(element);
}

}  // namespace drover::http
