#include "modules/http/request_parser.h"

#include "modules/http/http_syntax.h"

#include <algorithm>
#include <utility>

namespace drover::http {

namespace {

constexpr std::string_view version_part =
    " HTTP/1.1";  // what ends a request line, in this or another version

bool is_origin_target(std::string_view target) noexcept {
    return target.starts_with('/');
}

// The authority and what follows it; false when the target is not of absolute form. Only http and https have
// a meaning here.
bool split_absolute_target(std::string_view target, std::string_view& authority,
                           std::string_view& rest) noexcept {
    const std::size_t colon = target.find("://");
    if (colon == std::string_view::npos) return false;
    const std::string_view scheme = target.substr(0, colon);
    if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) return false;
    target.remove_prefix(colon + 3);
    const std::size_t end = std::min(target.find_first_of("/?"), target.size());
    authority = target.substr(0, end);
    rest = target.substr(end);
    return true;
}

// "/a?b" into its parts.
void split_query(std::string_view target, std::string_view& path, std::string_view& query) noexcept {
    const std::size_t mark = target.find('?');
    path = target.substr(0, mark);
    if (mark != std::string_view::npos) query = target.substr(mark + 1);
}

}  // namespace

// llhttp calls these; the parser is in `data`. A return value other than 0 ends llhttp_execute.
struct RequestParser::Callbacks {
    static RequestParser& self(llhttp_t* llhttp) noexcept {
        return *static_cast<RequestParser*>(llhttp->data);
    }

    static int on_url(llhttp_t* llhttp, const char* at, std::size_t size) {
        self(llhttp).head_.target = {at, size};
        return 0;
    }
    static int on_header_field(llhttp_t* llhttp, const char* at, std::size_t size) {
        return self(llhttp).begin_header({at, size}) ? 0 : HPE_USER;
    }
    static int on_header_value(llhttp_t* llhttp, const char* at, std::size_t size) {
        self(llhttp).header_value_ = {at, size};
        return 0;
    }
    static int on_header_value_complete(llhttp_t* llhttp) { return self(llhttp).end_header() ? 0 : HPE_USER; }
    // The body is not llhttp's business here.
    static int on_headers_complete(llhttp_t*) { return HPE_PAUSED; }

    static const llhttp_settings_t settings;
};

const llhttp_settings_t RequestParser::Callbacks::settings = [] {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = on_url;
    settings.on_header_field = on_header_field;
    settings.on_header_value = on_header_value;
    settings.on_header_value_complete = on_header_value_complete;
    settings.on_headers_complete = on_headers_complete;
    return settings;
}();

RequestParser::RequestParser(const RequestLimits& limits) : limits_(limits) {
    llhttp_init(&llhttp_, HTTP_REQUEST, &Callbacks::settings);
    llhttp_.data = this;
}

// Looks at each line once, as soon as it is complete, and at nothing beyond the size limit: so the result is
// the same however the bytes arrive. llhttp sees the head only when all of it is there.
HeadResult RequestParser::parse(std::string_view input, HeadProgress& progress) {
    std::size_t skipped = 0;
    while (input.starts_with("\r\n")) {
        if (++progress.empty_lines > max_empty_lines) return {HeadState::refused, 0, 400};
        input.remove_prefix(2);
        skipped += 2;
    }
    if (input.empty() || input == "\r") return {HeadState::incomplete, skipped, 0};
    if (!is_token_character(input.front())) return {HeadState::refused, 0, 400};

    const std::string_view window = input.substr(0, limits_.head_size);
    for (;;) {
        const std::size_t line_end = window.find('\n', progress.scanned);
        const bool is_request_line = progress.line_start == 0;
        if (line_end == std::string_view::npos) {
            progress.scanned = static_cast<std::uint32_t>(window.size());
            if (window.size() < limits_.head_size) return {HeadState::incomplete, skipped, 0};
            return {HeadState::refused, 0, is_request_line ? 414U : 431U};
        }
        const std::string_view line = window.substr(progress.line_start, line_end - progress.line_start);
        if (const unsigned status = check_line(line, is_request_line)) return {HeadState::refused, 0, status};
        progress.line_start = progress.scanned = static_cast<std::uint32_t>(line_end + 1);
        if (line.size() == 1) break;
    }
    HeadResult result = parse_complete(window.substr(0, progress.line_start));
    result.consumed += skipped;
    progress = {};
    return result;
}

// `line` is without its LF. 0, or the status to refuse with.
unsigned RequestParser::check_line(std::string_view line, bool is_request_line) const noexcept {
    if (!line.ends_with('\r')) return 400;
    line.remove_suffix(1);
    if (is_request_line) return check_request_line(line);
    if (line.starts_with(' ') || line.starts_with('\t')) return 400;  // obs-fold
    return is_field_value(line) ? 0 : 400;
}

unsigned RequestParser::check_request_line(std::string_view line) const noexcept {
    const std::size_t method_end = line.find(' ');
    if (!is_token(line.substr(0, method_end))) return 400;
    if (method_end == std::string_view::npos || line.size() < method_end + 1 + version_part.size())
        return 400;

    const std::string_view version = line.substr(line.size() - version_part.size());
    const char major = version[version.size() - 3];
    const char minor = version.back();
    if (!version.starts_with(" HTTP/") || version[version.size() - 2] != '.') return 400;
    if (!is_digit(major) || !is_digit(minor)) return 400;

    const std::string_view target =
        line.substr(method_end + 1, line.size() - version.size() - method_end - 1);
    if (!is_target(target)) return 400;
    if (major != '1' || minor > '1') return 505;
    return target.size() > limits_.target_size ? 414 : 0;
}

HeadResult RequestParser::parse_complete(std::string_view bytes) {
    head_ = {};
    refusal_ = 0;
    header_count_ = 0;
    has_host_ = has_content_length_ = has_transfer_encoding_ = false;
    last_coding_is_chunked_ = unknown_coding_ = false;
    asks_keep_alive_ = asks_close_ = false;
    const std::size_t request_line_size = bytes.find('\r');
    head_.minor_version = bytes[request_line_size - 1] == '1' ? 1 : 0;
    head_.method_name = bytes.substr(0, bytes.find(' '));
    head_.fields = bytes.substr(request_line_size + 2, bytes.size() - request_line_size - 4);

    llhttp_reset(&llhttp_);
    const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
    if (error == HPE_PAUSED) {
        if (finish_head()) return {HeadState::complete, bytes.size(), 0};
    } else if (refusal_ == 0) {
        // The request line is well-formed, so these two mean a method that llhttp does not know, or not for
        // HTTP.
        const bool unknown_method = error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT;
        refuse(unknown_method ? 501 : 400);
    }
    return {HeadState::refused, 0, refusal_};
}

bool RequestParser::begin_header(std::string_view name) noexcept {
    header_name_ = name;
    header_value_ = {};
    if (++header_count_ > limits_.header_count) return refuse(431);
    // The colon follows at once: all bytes of the head are there, and it ends with an empty line.
    const char* const behind = name.data() + name.size();
    return is_token(name) && *behind == ':' ? true : refuse(400);
}

bool RequestParser::end_header() noexcept {
    const std::string_view value = trim_blanks(header_value_);
    switch (header_name_.size()) {
        case 4:
            if (!equals_ignoring_case(header_name_, "host")) return true;
            if (std::exchange(has_host_, true) || !is_host(value)) return refuse(400);
            head_.host = value;
            return true;
        case 6:
            return equals_ignoring_case(header_name_, "expect") ? take_expect(value) : true;
        case 10:
            return equals_ignoring_case(header_name_, "connection") ? take_connection(value) : true;
        case 14:
            return equals_ignoring_case(header_name_, "content-length") ? take_content_length(value) : true;
        case 17:
            return equals_ignoring_case(header_name_, "transfer-encoding") ? take_transfer_encoding(value)
                                                                           : true;
        default:
            return true;
    }
}

// Digits alone: no sign, no list, no second header, even when it says the same.
bool RequestParser::take_content_length(std::string_view value) noexcept {
    if (std::exchange(has_content_length_, true)) return refuse(400);
    if (value.empty() || !std::ranges::all_of(value, is_digit)) return refuse(400);
    std::uint64_t length = 0;
    for (const char digit : value) {
        if (length > (UINT64_MAX - 9) / 10) return refuse(413);
        length = length * 10 + static_cast<std::uint64_t>(digit - '0');
    }
    head_.content_length = length;
    return true;
}

bool RequestParser::take_transfer_encoding(std::string_view list) noexcept {
    has_transfer_encoding_ = true;
    do {
        const std::string_view coding = take_list_element(list);
        if (coding.empty() || last_coding_is_chunked_) return refuse(400);
        last_coding_is_chunked_ = equals_ignoring_case(coding, "chunked");
        unknown_coding_ = unknown_coding_ || !last_coding_is_chunked_;
    } while (!list.empty());
    return true;
}

bool RequestParser::take_connection(std::string_view list) noexcept {
    while (!list.empty()) {
        const std::string_view option = take_list_element(list);
        asks_close_ = asks_close_ || equals_ignoring_case(option, "close");
        asks_keep_alive_ = asks_keep_alive_ || equals_ignoring_case(option, "keep-alive");
    }
    return true;
}

bool RequestParser::take_expect(std::string_view value) noexcept {
    if (head_.minor_version == 0) return true;  // RFC 9110, 10.1.1
    if (!equals_ignoring_case(value, "100-continue")) return refuse(417);
    head_.expects_continue = true;
    return true;
}

bool RequestParser::finish_head() noexcept {
    switch (llhttp_get_method(&llhttp_)) {
        case HTTP_GET:
            head_.method = Method::get;
            break;
        case HTTP_HEAD:
            head_.method = Method::head;
            break;
        default:
            break;
    }
    if (!has_host_ && head_.minor_version > 0) return refuse(400);
    head_.keep_alive = !asks_close_ && (head_.minor_version > 0 || asks_keep_alive_);
    return finish_target() && finish_framing();
}

bool RequestParser::finish_target() noexcept {
    const std::string_view target = head_.target;
    std::string_view authority;
    std::string_view rest;
    if (llhttp_get_method(&llhttp_) == HTTP_CONNECT) return is_host_with_port(target) ? true : refuse(400);
    if (is_origin_target(target)) {
        split_query(target, head_.path, head_.query);
    } else if (split_absolute_target(target, authority, rest)) {
        if (!is_host(authority)) return refuse(400);
        head_.host = authority;
        split_query(rest, head_.path, head_.query);
        if (head_.path.empty()) head_.path = "/";
    } else if (target == "*" && llhttp_get_method(&llhttp_) == HTTP_OPTIONS) {
        head_.path = target;
    } else {
        return refuse(400);
    }
    return true;
}

bool RequestParser::finish_framing() noexcept {
    if (has_transfer_encoding_) {
        if (has_content_length_ || head_.minor_version == 0) return refuse(400);
        if (unknown_coding_) return refuse(501);
        head_.framing = Framing::chunked;
    } else if (head_.content_length > 0) {
        head_.framing = Framing::sized;
    }
    return true;
}

bool RequestParser::refuse(unsigned status) noexcept {
    refusal_ = status;
    return false;
}

}  // namespace drover::http
