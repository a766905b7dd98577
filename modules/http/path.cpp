#include "modules/http/path.h"

#include "modules/http/http_syntax.h"

#include <algorithm>
#include <cstring>

namespace drover::http {

namespace {

bool is_plain(std::string_view path) noexcept {
    for (std::size_t at = 0; at < path.size(); ++at) {
        if (path[at] == '%') return false;
        const bool segment_begins = path[at] == '/' && at + 1 < path.size();
        if (segment_begins && (path[at + 1] == '/' || path[at + 1] == '.')) return false;
    }
    return true;
}

// -1 when it is not one.
int hex_value(char c) noexcept {
    if (is_digit(c)) return c - '0';
    const char lower = detail::lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool decode(std::string_view path, std::string& out) {
    out.clear();
    for (std::size_t at = 0; at < path.size(); ++at) {
        if (path[at] != '%') {
            out.push_back(path[at]);
            continue;
        }
        if (at + 2 >= path.size()) return false;
        const int high = hex_value(path[at + 1]);
        const int low = hex_value(path[at + 2]);
        if (high < 0 || low < 0 || high + low == 0) return false;
        out.push_back(static_cast<char>(high * 16 + low));
        at += 2;
    }
    return true;
}

}  // namespace

std::optional<std::string_view> resolve_path(std::string_view path, std::string& scratch) {
    if (is_plain(path)) return path;
    if (!decode(path, scratch)) return std::nullopt;
    // In place: what is kept never is longer than what was read.
    std::size_t size = 0;
    for (std::size_t at = 0; at < scratch.size();) {
        const std::size_t end = std::min(scratch.find('/', at + 1), scratch.size());
        const std::string_view segment = std::string_view(scratch).substr(at + 1, end - at - 1);
        const bool is_last = end == scratch.size();
        if (segment == "..") {
            if (size == 0) return std::nullopt;
            size = scratch.rfind('/', size - 1);
            if (is_last) scratch[size++] = '/';
        } else if (segment.empty() || segment == ".") {
            if (is_last) scratch[size++] = '/';
        } else {
            std::memmove(scratch.data() + size, scratch.data() + at, segment.size() + 1);
            size += segment.size() + 1;
        }
        at = end;
    }
    return std::string_view(scratch).substr(0, size);
}

void append_escaped_path(std::string& out, std::string_view path) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (const char c : path) {
        const bool plain = is_token_character(c) || c == '/';
        if (plain && std::string_view("%#'&").find(c) == std::string_view::npos) {
            out.push_back(c);
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out.push_back('%');
            out.push_back(digits[byte / 16]);
            out.push_back(digits[byte % 16]);
        }
    }
}

void append_escaped_html(std::string& out, std::string_view text) {
    for (const char c : text) {
        switch (c) {
            case '<':
                out.append("&lt;");
                break;
            case '>':
                out.append("&gt;");
                break;
            case '&':
                out.append("&amp;");
                break;
            case '"':
                out.append("&quot;");
                break;
            case '\'':
                out.append("&#39;");
                break;
            default:
                out.push_back(c);
        }
    }
}

}  // namespace drover::http
