#include "modules/http/file_conditions.h"

#include "modules/http/http_date.h"
#include "modules/http/http_syntax.h"
#include "modules/http/request.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace drover::http {

namespace {

bool is_weak(std::string_view tag) noexcept {
    return tag.starts_with("W/");
}

// Strong comparison wants two strong tags that are equal; for weak comparison they may be weak ones (RFC
// 9110, 8.8.3.2).
bool same_tag(std::string_view left, std::string_view right, bool weak_will_do) noexcept {
    if (!weak_will_do) return left == right && !is_weak(left);
    if (is_weak(left)) left.remove_prefix(2);
    if (is_weak(right)) right.remove_prefix(2);
    return left == right;
}

bool has_tag(std::string_view list, std::string_view etag, bool weak_will_do) noexcept {
    while (!list.empty()) {
        const std::string_view element = take_list_element(list);
        if (element == "*") return true;
        if (!etag.empty() && same_tag(element, etag, weak_will_do)) return true;
    }
    return false;
}

std::optional<std::uint64_t> number(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const std::from_chars_result result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || !is_digit(text.front()) || result.ptr != text.data() + text.size())
        return std::nullopt;
    // A number too large is a place behind the end of any file.
    return result.ec == std::errc::result_out_of_range ? UINT64_MAX : value;
}

// "0-99", "100-" or "-100". False when it is none of these; `range.length` 0: the file has no such part.
bool read_range(std::string_view text, std::uint64_t size, ByteRange& range) noexcept {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return false;
    const std::string_view first_text = text.substr(0, dash);
    const std::string_view last_text = text.substr(dash + 1);
    const std::optional<std::uint64_t> first = number(first_text);
    const std::optional<std::uint64_t> last = number(last_text);
    if ((!first && !first_text.empty()) || (!last && !last_text.empty()) || (!first && !last)) return false;
    if (!first) {
        const std::uint64_t length = std::min(*last, size);
        range = {size - length, length};
        return true;
    }
    if (last && *last < *first) return false;
    range = {};
    if (*first >= size) return true;
    const std::uint64_t end = last && *last < size - 1 ? *last + 1 : size;
    range = {*first, end - *first};
    return true;
}

bool range_is_for(std::string_view if_range, const FileState& file) noexcept {
    if (if_range.empty()) return true;
    if (if_range.starts_with('"')) return same_tag(if_range, file.etag, false);
    // A tag is weak when the file may be written again in the second that the date names.
    return file.modified && !is_weak(file.etag) && parse_date(if_range) == file.modified;
}

}  // namespace

FileConditions find_conditions(std::string_view fields) {
    FileConditions found;
    const std::string_view all = fields;
    bool several = false;
    const auto take_list = [&several](std::string_view& member, const Field& field, std::string_view name) {
        if (!equals_ignoring_case(field.name, name)) return;
        several = several || member.data() != nullptr;
        member = field.value;
    };
    const auto take = [](std::string_view& member, const Field& field, std::string_view name) {
        if (member.empty() && equals_ignoring_case(field.name, name)) member = field.value;
    };
    for (Field field; take_field(fields, field);) {
        switch (field.name.size()) {
            case 5:
                take(found.range, field, "range");
                break;
            case 8:
                take(found.if_range, field, "if-range");
                take_list(found.if_match, field, "if-match");
                break;
            case 13:
                take_list(found.if_none_match, field, "if-none-match");
                break;
            case 15:
                take_list(found.accept_encoding, field, "accept-encoding");
                break;
            case 17:
                take(found.if_modified_since, field, "if-modified-since");
                break;
            case 19:
                take(found.if_unmodified_since, field, "if-unmodified-since");
                break;
            default:
                break;
        }
    }
    if (!several) return found;
    found.joined.reserve(3);
    const auto join = [&found, all](std::string_view& member, std::string_view name) {
        member = found.joined.emplace_back(joined_fields(all, name));
    };
    join(found.if_match, "if-match");
    join(found.if_none_match, "if-none-match");
    join(found.accept_encoding, "accept-encoding");
    return found;
}

// The order is that of RFC 9110, 13.2.2.
unsigned check_preconditions(const FileConditions& conditions, const FileState& file) noexcept {
    if (!conditions.if_match.empty()) {
        if (!has_tag(conditions.if_match, file.etag, false)) return 412;
    } else if (!conditions.if_unmodified_since.empty()) {
        const std::optional<std::time_t> since = parse_date(conditions.if_unmodified_since);
        if (since && file.modified && *file.modified > *since) return 412;
    }
    if (!conditions.if_none_match.empty()) {
        return has_tag(conditions.if_none_match, file.etag, true) ? 304 : 200;
    }
    if (!conditions.if_modified_since.empty()) {
        const std::optional<std::time_t> since = parse_date(conditions.if_modified_since);
        if (since && file.modified && *file.modified <= *since) return 304;
    }
    return 200;
}

RangeChoice choose_ranges(const FileConditions& conditions, const FileState& file) {
    RangeChoice choice;
    std::string_view list = conditions.range;
    constexpr std::string_view unit = "bytes=";
    if (list.size() < unit.size() || !equals_ignoring_case(list.substr(0, unit.size()), unit)) return choice;
    if (!range_is_for(conditions.if_range, file)) return choice;
    list.remove_prefix(unit.size());

    std::uint64_t total = 0;
    std::size_t count = 0;
    std::vector<ByteRange> ranges;
    while (!list.empty()) {
        const std::string_view element = take_list_element(list);
        if (element.empty()) continue;
        ByteRange range;
        if (++count > max_ranges || !read_range(element, file.size, range)) return choice;
        if (range.length == 0) continue;
        total += range.length;
        ranges.push_back(range);
    }
    if (count == 0) return choice;
    if (ranges.empty()) {
        choice.status = 416;
    } else if (total <= file.size) {
        // Ranges that are more than the file together overlap: the whole of it is less to send.
        choice.status = 206;
        choice.ranges = std::move(ranges);
    }
    return choice;
}

bool accepts_gzip(std::string_view accept_encoding) noexcept {
    std::optional<bool> any;
    while (!accept_encoding.empty()) {
        const std::string_view element = take_list_element(accept_encoding);
        const std::size_t end = element.find(';');
        const std::string_view coding = trim_blanks(element.substr(0, end));
        // "q=0", "q=0.000": not at all.
        const std::string_view weight =
            end == std::string_view::npos ? "1" : trim_blanks(element.substr(end + 1));
        const bool accepted = weight.find_first_of("123456789") != std::string_view::npos;
        // "x-gzip" is gzip (RFC 9110, 8.4.1.3).
        if (equals_ignoring_case(coding, "gzip") || equals_ignoring_case(coding, "x-gzip")) return accepted;
        if (coding == "*" && !any) any = accepted;
    }
    return any.value_or(false);
}

}  // namespace drover::http
