#include "modules/http/access_line.h"

#include "modules/http/http_date.h"
#include "modules/http/http_syntax.h"
#include "modules/http/request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace drover::http {

namespace {

constexpr std::string_view common =
    R"({peer} - - [{time_clf}] "{request}" {status} {bytes} {seconds} {aborted})";
constexpr std::string_view combined =
    R"({peer} - - [{time_clf}] "{request}" {status} {bytes} "{referer}" "{user_agent}" {seconds} {aborted})";
constexpr std::string_view json =
    R"({{"time":"{time}","peer":"{peer}","host":"{host}","method":"{method}","target":"{target}",)"
    R"("version":"{version}","status":{status},"bytes":{bytes},"referer":"{referer}",)"
    R"("user_agent":"{user_agent}","seconds":{seconds},"aborted":{aborted}}})";

constexpr std::string_view header_prefix = "header:";

std::string_view template_of(std::string_view format) noexcept {
    if (format == "common") return common;
    if (format == "combined") return combined;
    return format == "json" ? json : format;
}

void append_number(std::string& out, std::uint64_t value) {
    char digits[20];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void append_seconds(std::string& out, std::int64_t took_us) {
    const auto micros = static_cast<std::uint64_t>(std::max<std::int64_t>(took_us, 0));
    append_number(out, micros / 1'000'000);
    std::string fraction = std::to_string(1'000'000 + micros % 1'000'000);
    fraction.front() = '.';
    out.append(fraction);
}

std::string_view before_query(std::string_view target) noexcept {
    return target.substr(0, target.find('?'));
}

std::string_view query_of(std::string_view target) noexcept {
    const std::size_t mark = target.find('?');
    return mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
}

}  // namespace

struct AccessLine::Name {
    std::string_view text;
    Field field;
};

const AccessLine::Name AccessLine::table[] = {
    {"peer", Field::peer},
    {"time", Field::time},
    {"time_clf", Field::time_clf},
    {"request", Field::request},
    {"method", Field::method},
    {"target", Field::target},
    {"path", Field::path},
    {"query", Field::query},
    {"protocol", Field::protocol},
    {"version", Field::version},
    {"host", Field::host},
    {"status", Field::status},
    {"bytes", Field::bytes},
    {"bytes_sent", Field::bytes_sent},
    {"seconds", Field::seconds},
    {"route", Field::route},
    {"aborted", Field::aborted},
    {"referer", Field::referer},
    {"user_agent", Field::user_agent},
};

std::string AccessLine::names() {
    std::string names;
    for (const Name& name : table)
        names.append("{").append(name.text).append("}, ");
    return names + "{header:NAME}";
}

AccessLine::AccessLine(std::string_view format) : format_(format) {
    const std::string_view text = template_of(format);
    if (text.find('{') == std::string_view::npos)
        throw std::invalid_argument(fmt::format(
            "\"{}\" is neither \"common\", \"combined\" nor \"json\", nor a template, which has names "
            "in braces: {}",
            format, names()));
    if (!is_field_value(text)) throw std::invalid_argument("has a control character");
    json_ = text.starts_with("{{");
    compile(text);
}

void AccessLine::compile(std::string_view text) {
    while (!text.empty()) {
        const std::size_t brace = std::min(text.find_first_of("{}"), text.size());
        add_literal(text.substr(0, brace));
        text.remove_prefix(brace);
        if (text.empty()) return;
        if (text.starts_with("{{") || text.starts_with("}}")) {
            add_literal(text.substr(0, 1));
            text.remove_prefix(2);
        } else if (text.front() == '}') {
            throw std::invalid_argument("has a \"}\" without its \"{\"; one that is text is written \"}}\"");
        } else {
            add_field(take_name(text));
        }
    }
}

// "{name}" off the front.
std::string_view AccessLine::take_name(std::string_view& text) const {
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos)
        throw std::invalid_argument("has a \"{\" without its \"}\"; one that is text is written \"{{\"");
    const std::string_view name = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    return name;
}

void AccessLine::add_literal(std::string_view text) {
    if (text.empty()) return;
    if (pieces_.empty() || pieces_.back().field != Field::literal) pieces_.emplace_back();
    pieces_.back().text.append(text);
}

void AccessLine::add_field(std::string_view name) {
    const auto known = std::ranges::find(table, name, &Name::text);
    if (known != std::end(table)) {
        pieces_.push_back({.field = known->field});
        return;
    }
    const bool is_header = name.starts_with(header_prefix) && is_token(name.substr(header_prefix.size()));
    if (!is_header)
        throw std::invalid_argument(
            fmt::format("has \"{{{}}}\", which is no name; there are {}", name, names()));
    std::string header(name.substr(header_prefix.size()));
    std::ranges::transform(header, header.begin(), detail::lower);
    pieces_.push_back({.field = Field::header, .text = std::move(header)});
}

void AccessLine::append(std::string& out, const AccessEntry& entry, std::size_t longest) {
    constexpr std::array<std::size_t, 4> limits = {SIZE_MAX, 1024, 256, 64};
    if (entry.second != second_) set_time(entry.second);
    const std::size_t before = out.size();
    for (const std::size_t limit : limits) {
        out.resize(before);
        longest_text_ = limit;
        append_fields(out, entry);
        if (out.size() - before <= longest) return;
    }
}

void AccessLine::append_fields(std::string& out, const AccessEntry& entry) const {
    for (const Piece& piece : pieces_)
        append_field(out, piece, entry);
    out.push_back('\n');
}

void AccessLine::append_field(std::string& out, const Piece& piece, const AccessEntry& entry) const {
    const LoggedRequest& request = entry.request;
    const bool is_request = !request.method.empty();
    const auto header = [&](std::string_view name) {
        append_text(out, find_field(request.fields, name).value_or(std::string_view()));
    };
    switch (piece.field) {
        case Field::literal:
            out.append(piece.text);
            return;
        case Field::peer:
            return append_text(out, entry.peer);
        case Field::time:
            out.append(time_);
            return;
        case Field::time_clf:
            out.append(time_clf_);
            return;
        case Field::request:
            return append_request(out, request);
        case Field::method:
            return append_text(out, request.method);
        case Field::target:
            return append_text(out, request.target);
        case Field::path:
            return append_text(out, before_query(request.target));
        case Field::query:
            return append_text(out, query_of(request.target));
        case Field::protocol:
            return append_text(out, !is_request ? "" : request.minor_version > 0 ? "HTTP/1.1" : "HTTP/1.0");
        case Field::version:
            out.append(request.minor_version > 0 ? "1.1" : "1.0");
            return;
        case Field::host:
            return append_text(out, request.host);
        case Field::status:
            return append_number(out, entry.status);
        case Field::bytes:
            return append_number(out, entry.bytes);
        case Field::bytes_sent:
            return append_number(out, entry.bytes_sent);
        case Field::seconds:
            return append_seconds(out, entry.took_us);
        case Field::route:
            return append_text(out, entry.route);
        case Field::aborted:
            if (json_)
                out.append(entry.aborted ? "true" : "false");
            else
                out.append(entry.aborted ? "aborted" : "-");
            return;
        case Field::referer:
            return header("referer");
        case Field::user_agent:
            return header("user-agent");
        case Field::header:
            return header(piece.text);
    }
}

// A request that was no request has no line.
void AccessLine::append_request(std::string& out, const LoggedRequest& request) const {
    if (request.method.empty()) return append_text(out, {});
    append_text(out, request.method);
    out.push_back(' ');
    append_text(out, request.target);
    out.append(request.minor_version > 0 ? " HTTP/1.1" : " HTTP/1.0");
}

void AccessLine::append_text(std::string& out, std::string_view text) const {
    if (text.empty() && !json_) out.push_back('-');
    for (const char c : text.substr(0, longest_text_)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            out.push_back(c);
        } else {
            out.append(json_ ? "\\u00" : "\\x");
            fmt::format_to(std::back_inserter(out), "{:02x}", unsigned{byte});
        }
    }
    if (text.size() > longest_text_) out.append("...");
}

void AccessLine::set_time(std::time_t second) {
    second_ = second;
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    time_ = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                        utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    time_clf_ = fmt::format("{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000", utc.tm_mday, month_name(utc.tm_mon),
                            utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace drover::http
