#include "modules/http/http_reply.h"

#include "modules/http/http_date.h"

#include <charconv>

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

void HttpDate::set(std::time_t second) noexcept {
    second_ = second;
    format_date(second).copy(text_.data(), size);
}

void append_head(std::string& out, const ReplyHead& head, Persistence persistence, const HttpDate& date) {
    char number[24];
    const auto text = [&number](std::uint64_t value) -> std::string_view {
        return {number,
                static_cast<std::size_t>(std::to_chars(number, number + sizeof number, value).ptr - number)};
    };
    out.append("HTTP/1.1 ").append(text(head.status)).append(" ").append(reason_phrase(head.status));
    out.append(before_date).append(date.text()).append("\r\n");
    if (!head.type.empty()) out.append("Content-Type: ").append(head.type).append("\r\n");
    if (status_has_body(head.status)) {
        if (head.length) out.append("Content-Length: ").append(text(*head.length)).append("\r\n");
        if (head.chunked) out.append("Transfer-Encoding: chunked\r\n");
    }
    out.append(head.extra_headers).append(connection_header(persistence)).append("\r\n");
}

void append_reply(std::string& out, const Reply& reply, Persistence persistence, bool head_only,
                  const HttpDate& date) {
    const bool has_body = status_has_body(reply.status);
    append_head(out,
                {.status = reply.status,
                 .type = has_body ? reply.type : std::string_view(),
                 .extra_headers = reply.extra_headers,
                 .length = reply.body.size()},
                persistence, date);
    if (has_body && !head_only) out.append(reply.body);
}

std::string error_text(unsigned status) {
    return fmt::format("{} {}\n", status, reason_phrase(status));
}

FixedReply::FixedReply(const Reply& reply)
    : status_(reply.status),
      body_size_(status_has_body(reply.status) ? reply.body.size() : 0),
      date_offset_(date_offset(reply.status)) {
    const HttpDate date;
    for (std::size_t index = 0; index < forms_.size(); ++index) {
        Form& form = forms_[index];
        append_reply(form.bytes, reply, static_cast<Persistence>(index), false, date);
        form.head_size = form.bytes.size() - body_size_;
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
