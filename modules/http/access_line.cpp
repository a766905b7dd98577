// How a line of the access log is written.
#include "modules/http/access_log.h"
#include "modules/http/http_date.h"
#include "modules/http/request.h"

#include <iterator>

#include <fmt/format.h>

namespace drover::http {

namespace {

// A client's bytes must not end a line or a quote: "\xHH" in text, "\u00HH" in JSON.
void append_quoted(std::string& out, std::string_view text, bool json) {
    out.push_back('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            out.push_back(c);
        } else {
            out.append(json ? "\\u00" : "\\x");
            fmt::format_to(std::back_inserter(out), "{:02x}", unsigned{byte});
        }
    }
    out.push_back('"');
}

void append_dash_or_quoted(std::string& out, std::string_view text) {
    if (text.empty()) {
        out.append("\"-\"");
    } else {
        append_quoted(out, text, false);
    }
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
    out.append(",\"").append(name).append("\":");
    append_quoted(out, text, true);
}

std::string_view field(const RequestHead& head, std::string_view name) noexcept {
    return find_field(head.fields, name).value_or(std::string_view());
}

void append_json(std::string& out, const RequestHead& head, unsigned status, std::uint64_t body_size,
                 std::string_view peer, const std::tm& utc) {
    fmt::format_to(std::back_inserter(out), "{{\"time\":\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z\"",
                   utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    append_member(out, "peer", peer);
    append_member(out, "host", head.host);
    append_member(out, "method", head.method_name);
    append_member(out, "target", head.target);
    fmt::format_to(std::back_inserter(out), ",\"version\":\"1.{}\",\"status\":{},\"bytes\":{}",
                   head.minor_version, status, body_size);
    append_member(out, "referer", field(head, "referer"));
    append_member(out, "user_agent", field(head, "user-agent"));
    out.append("}\n");
}

}  // namespace

void append_access_line(std::string& out, AccessLogFormat format, const RequestHead& head, unsigned status,
                        std::uint64_t body_size, std::string_view peer, std::time_t second) {
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    if (format == AccessLogFormat::json) return append_json(out, head, status, body_size, peer, utc);
    fmt::format_to(std::back_inserter(out), "{} - - [{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000] ",
                   peer.empty() ? "-" : peer, utc.tm_mday, month_name(utc.tm_mon), utc.tm_year + 1900,
                   utc.tm_hour, utc.tm_min, utc.tm_sec);
    // A request that was no request has no line.
    std::string line;
    if (!head.method_name.empty())
        line.append(head.method_name)
            .append(" ")
            .append(head.target)
            .append(head.minor_version > 0 ? " HTTP/1.1" : " HTTP/1.0");
    append_dash_or_quoted(out, line);
    fmt::format_to(std::back_inserter(out), " {} {}", status, body_size);
    if (format == AccessLogFormat::combined) {
        out.push_back(' ');
        append_dash_or_quoted(out, field(head, "referer"));
        out.push_back(' ');
        append_dash_or_quoted(out, field(head, "user-agent"));
    }
    out.push_back('\n');
}

}  // namespace drover::http
