#include "modules/http/http_syntax.h"

#include <algorithm>

namespace drover::http {

namespace {

bool is_port(std::string_view text) noexcept {
    return text.size() <= 5 && std::ranges::all_of(text, is_digit);
}

bool is_address_character(char c) noexcept {
    return is_digit(c) || (detail::lower(c) >= 'a' && detail::lower(c) <= 'f') || c == ':' || c == '.';
}

}  // namespace

bool is_host(std::string_view text) noexcept {
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || end == 1) return false;
        const std::string_view port = text.substr(end + 1);
        return std::ranges::all_of(text.substr(1, end - 1), is_address_character) &&
               (port.empty() || (port.front() == ':' && is_port(port.substr(1))));
    }
    const std::size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    if (name.empty() || !detail::all_in(name, detail::host)) return false;
    return colon == std::string_view::npos || is_port(text.substr(colon + 1));
}

}  // namespace drover::http
