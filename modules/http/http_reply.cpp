#include "modules/http/http_reply.h"

#include <iterator>

#include <fmt/format.h>

namespace drover::http {

namespace {

struct Phrase {
    unsigned status;
    std::string_view text;
};

// RFC 9110, section 15, and RFC 6585.
constexpr Phrase phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {511, "Network Authentication Required"},
};

constexpr const char* weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

constexpr std::string_view before_date = "\r\nDate: ";

std::string_view connection_header(Persistence persistence) noexcept {
    switch (persistence) {
        case Persistence::keep:
            return "";
        case Persistence::keep_said:
            return "Connection: keep-alive\r\n";
        case Persistence::close:
            return "Connection: close\r\n";
    }
    return "";
}

std::size_t date_offset(unsigned status) {
    return 13 + reason_phrase(status).size() + before_date.size();
}

}  // namespace

std::string_view reason_phrase(unsigned status) noexcept {
    for (const Phrase& phrase : phrases)
        if (phrase.status == status) return phrase.text;
    return {};
}

void HttpDate::refresh() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != second_) set(now.tv_sec);
}

// Not strftime: the names must not depend on the locale.
void HttpDate::set(std::time_t second) noexcept {
    second_ = second;
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    fmt::format_to_n(text_.data(), size, "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", weekdays[utc.tm_wday],
                     utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                     utc.tm_sec);
}

void append_reply(std::string& out, const Reply& reply, Persistence persistence, bool head_only,
                  const HttpDate& date) {
    const auto end = std::back_inserter(out);
    fmt::format_to(end, "HTTP/1.1 {} {}{}{}\r\n", reply.status, reason_phrase(reply.status), before_date,
                   date.text());
    const bool has_body = status_has_body(reply.status);
    if (has_body) {
        if (!reply.type.empty()) fmt::format_to(end, "Content-Type: {}\r\n", reply.type);
        fmt::format_to(end, "Content-Length: {}\r\n", reply.body.size());
    }
    out.append(reply.extra_headers).append(connection_header(persistence)).append("\r\n");
    if (has_body && !head_only) out.append(reply.body);
}

void append_error(std::string& out, unsigned status, Persistence persistence, bool head_only,
                  const HttpDate& date) {
    std::array<char, 64> body{};
    const auto end = fmt::format_to_n(body.data(), body.size(), "{} {}\n", status, reason_phrase(status));
    const Reply reply{.status = status,
                      .type = "text/plain",
                      .extra_headers = status == 405 ? "Allow: GET, HEAD\r\n" : "",
                      .body = {body.data(), std::min(end.size, body.size())}};
    append_reply(out, reply, persistence, head_only, date);
}

FixedReply::FixedReply(const Reply& reply) : status_(reply.status), date_offset_(date_offset(reply.status)) {
    const HttpDate date;
    for (std::size_t index = 0; index < forms_.size(); ++index) {
        Form& form = forms_[index];
        append_reply(form.bytes, reply, static_cast<Persistence>(index), false, date);
        form.head_size = form.bytes.size() - (status_has_body(reply.status) ? reply.body.size() : 0);
        form.second = date.second();
    }
}

std::string_view FixedReply::bytes(Persistence persistence, bool head_only, const HttpDate& date) noexcept {
    Form& form = forms_[static_cast<std::size_t>(persistence)];
    if (form.second != date.second()) {
        date.text().copy(form.bytes.data() + date_offset_, HttpDate::size);
        form.second = date.second();
    }
    const std::string_view bytes = form.bytes;
    return head_only ? bytes.substr(0, form.head_size) : bytes;
}

}  // namespace drover::http
