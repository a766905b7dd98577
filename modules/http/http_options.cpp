#include "modules/http/http_options.h"

#include "modules/http/http_reply.h"
#include "modules/http/http_syntax.h"

#include <map>

#include <fmt/format.h>

namespace drover::http {

namespace {

constexpr std::int64_t second = 1000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t kilobyte = 1024;
constexpr std::int64_t megabyte = 1024 * kilobyte;

void check_return(const ReturnOptions& fixed, const std::string& path, Complaints& complaints) {
    if (!is_field_value(fixed.type))
        complaints.add(path + ".type", "has a control character; a media type is plain text");
    constexpr unsigned reset_content = 205;
    const bool has_body = status_has_body(fixed.status) && fixed.status != reset_content;
    if (!has_body && !fixed.body.empty())
        complaints.add(path + ".body", fmt::format("a reply {} has no body", fixed.status));
}

void check_path(std::string_view path, const std::string& key, Complaints& complaints) {
    if (!path.starts_with('/'))
        complaints.add(key, "must start with \"/\"");
    else if (!is_target(path) || path.find('?') != std::string_view::npos)
        complaints.add(
            key, "has a character that a path is never sent with; write it as %XX, and leave the query out");
}

}  // namespace

const Options<ReturnOptions>& ReturnOptions::options() {
    static const auto table =
        Options<ReturnOptions>("A fixed reply.")
            .integer("status", &ReturnOptions::status, {.fallback = 200, .min = 200, .max = 599}, Apply::hot,
                     "HTTP status.")
            .text("type", &ReturnOptions::type, {.fallback = "text/plain", .max_size = 256}, Apply::hot,
                  "Content-Type; empty: none.")
            .text("body", &ReturnOptions::body, {.max_size = 64 * kilobyte}, Apply::hot,
                  "What follows the headers.");
    return table;
}

const Options<RouteOptions>& RouteOptions::options() {
    static const auto table =
        Options<RouteOptions>(
            "What a path is answered with. The longest path that a request's path starts with wins.")
            .text("path", &RouteOptions::path, {.max_size = 1024, .required = true, .allow_empty = false},
                  Apply::hot,
                  "Start of the paths that belong to the route, compared byte for byte, as sent: \"/a\" has "
                  "\"/ab\", "
                  "too.")
            .table("return", &RouteOptions::fixed, ReturnOptions::options(), Apply::hot,
                   "A fixed reply. A route has either this or a handler.")
            .choice("handler", &RouteOptions::handler,
                    {{"none", RouteOptions::Handler::none}, {"status", RouteOptions::Handler::status}},
                    RouteOptions::Handler::none, Apply::hot,
                    "What makes the reply: \"status\" is the server's status as JSON.");
    return table;
}

const Options<HttpOptions>& HttpOptions::options() {
    static const auto table =
        Options<HttpOptions>("HTTP/1.1 and 1.0: fixed replies and the status of the server.")
            .size("max_head", &HttpOptions::max_head,
                  {.fallback = 16 * kilobyte, .min = kilobyte, .max = 256 * kilobyte}, Apply::hot,
                  "Request line and headers together; more is answered 431.")
            .size("max_target", &HttpOptions::max_target,
                  {.fallback = 8 * kilobyte, .min = 64, .max = 256 * kilobyte}, Apply::hot,
                  "The path and query of a request; more is answered 414.")
            .integer("max_headers", &HttpOptions::max_headers, {.fallback = 100, .min = 1, .max = 10000},
                     Apply::hot, "Headers of a request; more are answered 431.")
            .size("max_body", &HttpOptions::max_body,
                  {.fallback = megabyte, .min = 0, .max = megabyte * megabyte}, Apply::hot,
                  "The body of a request; more is answered 413.")
            .duration("header_timeout", &HttpOptions::header_timeout_ms,
                      {.fallback = 30 * second, .min = 100, .max = hour}, Apply::hot,
                      "From the first byte of a request to the end of its headers, and from the connection "
                      "to its first "
                      "byte; late is answered 408.")
            .duration("body_timeout", &HttpOptions::body_timeout_ms,
                      {.fallback = 30 * second, .min = 100, .max = hour}, Apply::hot,
                      "The longest pause within the body of a request; longer is answered 408.")
            .duration("idle_timeout", &HttpOptions::idle_timeout_ms,
                      {.fallback = 75 * second, .min = 100, .max = 24 * hour}, Apply::hot,
                      "How long a connection stays open between two requests.")
            .duration("send_timeout", &HttpOptions::send_timeout_ms,
                      {.fallback = 60 * second, .min = 100, .max = hour}, Apply::hot,
                      "How long the client may take to receive what waits for it.")
            .duration("drain_idle", &HttpOptions::drain_idle_ms,
                      {.fallback = second / 2, .min = 0, .max = hour}, Apply::hot,
                      "How long a worker that drains waits for one more request on a connection between two "
                      "requests: "
                      "its reply says close, so that no request is lost.")
            .tables("route", &HttpOptions::routes, RouteOptions::options(), 1024, Apply::hot,
                    "What paths are answered with; others are answered 404.");
    return table;
}

void check_http_options(const ImageNode& table, Complaints& complaints) {
    const HttpOptions options = HttpOptions::options().load(table);
    if (options.max_target >= options.max_head)
        complaints.add("max_target", "must be less than max_head, which it is a part of");
    const ImageNode nodes = table.find("route");
    std::map<std::string_view, std::uint32_t> first_with;
    for (std::uint32_t index = 0; index < nodes.size(); ++index) {
        const RouteOptions& route = options.routes[index];
        const std::string key = fmt::format("route[{}]", index);
        check_path(route.path, key + ".path", complaints);
        const auto [first, is_new] = first_with.emplace(route.path, index);
        if (!is_new)
            complaints.add(key + ".path",
                           fmt::format("\"{}\" is the path of route[{}] already", route.path, first->second));
        const bool has_return = !nodes.child(index).find("return").is_default();
        const bool has_handler = route.handler != RouteOptions::Handler::none;
        if (has_return && has_handler)
            complaints.add(key, "has both \"return\" and \"handler\"; one of them is to go");
        if (!has_return && !has_handler) complaints.add(key, "needs either \"return\" or \"handler\"");
        if (has_return) check_return(route.fixed, key + ".return", complaints);
    }
}

}  // namespace drover::http
