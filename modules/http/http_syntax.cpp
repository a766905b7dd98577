#include "modules/http/http_syntax.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace drover::http {

namespace {

bool is_port(std::string_view text) noexcept {
    unsigned port = 0;
    const char* const end = text.data() + text.size();
    const std::from_chars_result read = std::from_chars(text.data(), end, port);
    return read.ec == std::errc() && read.ptr == end && port > 0 && port <= 65535;
}

bool is_port_or_empty(std::string_view text) noexcept {
    return text.empty() || is_port(text);
}

// One final dot is no label.
bool has_empty_label(std::string_view name) noexcept {
    return name.starts_with('.') || name.find("..") != std::string_view::npos;
}

bool is_address_character(char c) noexcept {
    return is_digit(c) || (detail::lower(c) >= 'a' && detail::lower(c) <= 'f') || c == ':' || c == '.';
}

}  // namespace

std::string lower_host(std::string_view host) {
    std::string result(without_final_dot(host));
    std::ranges::transform(result, result.begin(), detail::lower);
    return result;
}

bool is_host(std::string_view text) noexcept {
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos || end == 1) return false;
        const std::string_view port = text.substr(end + 1);
        return std::ranges::all_of(text.substr(1, end - 1), is_address_character) &&
               (port.empty() || (port.front() == ':' && is_port_or_empty(port.substr(1))));
    }
    const std::size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    if (name.empty() || !detail::all_in(name, detail::host) || has_empty_label(name)) return false;
    return colon == std::string_view::npos || is_port_or_empty(text.substr(colon + 1));
}

bool is_host_with_port(std::string_view text) noexcept {
    const std::size_t colon = text.rfind(':');
    return is_host(text) && colon != std::string_view::npos && is_port(text.substr(colon + 1));
}

}  // namespace drover::http
