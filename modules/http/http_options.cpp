#include "modules/http/http_options.h"

#include "modules/http/access_line.h"
#include "modules/http/http_reply.h"
#include "modules/http/http_syntax.h"
#include "modules/http/request_handler.h"
#include "modules/http/route_metrics.h"

#include <algorithm>
#include <map>
#include <stdexcept>

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

void check_route_host(std::string_view host, const std::string& key, Complaints& complaints) {
    if (host.empty()) return;
    const std::string_view name = host.starts_with("*.") ? host.substr(2) : host;
    const std::size_t colon = name.rfind(':');
    const bool has_port = colon != std::string_view::npos && name.find(']', colon) == std::string_view::npos;
    if (!is_host(name) || has_port || name.find('*') != std::string_view::npos)
        complaints.add(key, "is no host name: \"a.org\", \"*.a.org\", \"127.0.0.1\", \"[::1]\", no port");
}

void check_route_name(std::string_view name, const std::string& key, Complaints& complaints) {
    if (!is_field_value(name)) complaints.add(key, "has a control character");
    if (name == RouteMetrics::unmatched || name == RouteMetrics::malformed)
        complaints.add(key, fmt::format("\"{}\" is what metrics call requests without a route", name));
}

// "md text/markdown"
void check_type(std::string_view entry, const std::string& key, Complaints& complaints) {
    const std::size_t blank = entry.find(' ');
    const bool good = blank != std::string_view::npos && blank > 0 && blank + 1 < entry.size() &&
                      is_field_value(entry) && entry.find('/', blank) != std::string_view::npos;
    if (!good) complaints.add(key, "is not \"ENDING TYPE\", as in \"md text/markdown\"");
}

void check_access_log_format(std::string_view format, Complaints& complaints) {
    try {
        const AccessLine line(format);
    } catch (const std::invalid_argument& fault) {
        complaints.add("access_log_format", fault.what());
    }
}

void check_redirect(const RedirectOptions& redirect, const std::string& key, Complaints& complaints) {
    if (redirect.to.empty()) complaints.add(key + ".to", "must say where to");
    if (!is_field_value(redirect.to) || redirect.to.find(' ') != std::string_view::npos)
        complaints.add(key + ".to", "has a blank or a control character; write it as %XX");
    constexpr unsigned statuses[] = {301, 302, 303, 307, 308};
    if (std::ranges::find(statuses, redirect.status) == std::end(statuses))
        complaints.add(key + ".status", "must be 301, 302, 303, 307 or 308");
}

// A route answers in one way.
void check_route_kind(const RouteOptions& route, const ImageNode& node, const std::string& key,
                      const HandlerTable& handlers, Complaints& complaints) {
    const bool has_return = !node.find("return").is_default();
    const bool has_redirect = !node.find("redirect").is_default();
    std::string given;
    const auto add = [&given](bool is_given, const char* name) {
        if (is_given) given.append(given.empty() ? "" : " and ").append("\"").append(name).append("\"");
        return is_given ? 1 : 0;
    };
    const int ways = add(has_return, "return") + add(has_redirect, "redirect") +
                     add(!route.handler.empty(), "handler") + add(!route.root.empty(), "root");
    if (ways == 0) complaints.add(key, "needs one of \"return\", \"redirect\", \"handler\" and \"root\"");
    if (ways > 1) complaints.add(key, fmt::format("has {}; one alone can answer", given));
    if (has_return) check_return(route.fixed, key + ".return", complaints);
    if (has_redirect) check_redirect(route.redirect, key + ".redirect", complaints);
    if (!route.handler.empty() && handlers.find(route.handler) == nullptr)
        complaints.add(key + ".handler", fmt::format("\"{}\" is no handler of this program; it has: {}",
                                                     route.handler, handlers.names()));
    if (!route.root.empty() && !route.path.ends_with('/'))
        complaints.add(key + ".path", "of a route with root must end with \"/\"");
    if (route.index.find('/') != std::string_view::npos)
        complaints.add(key + ".index", "is a file's name, without a \"/\"");
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

const Options<RedirectOptions>& RedirectOptions::options() {
    static const auto table =
        Options<RedirectOptions>("Sends the client elsewhere.")
            .text("to", &RedirectOptions::to, {.max_size = 2048}, Apply::hot,
                  "Where to: a URL, or a path of this server.")
            .integer("status", &RedirectOptions::status, {.fallback = 302, .min = 301, .max = 308},
                     Apply::hot, "301 and 308: for good; 302, 303 and 307: this time.")
            .boolean("keep_rest", &RedirectOptions::keep_rest, false, Apply::hot,
                     "Append what follows the route's path in the request, query and all.");
    return table;
}

const Options<ErrorPageOptions>& ErrorPageOptions::options() {
    static const auto table =
        Options<ErrorPageOptions>("What an error is answered with, instead of a line of text.")
            .integer("status", &ErrorPageOptions::status, {.min = 400, .max = 599, .required = true},
                     Apply::hot, "The error.")
            .text("type", &ErrorPageOptions::type, {.fallback = "text/html", .max_size = 256}, Apply::hot,
                  "Content-Type.")
            .text("body", &ErrorPageOptions::body, {.max_size = 64 * kilobyte, .required = true}, Apply::hot,
                  "The page.");
    return table;
}

const Options<RouteOptions>& RouteOptions::options() {
    static const auto table =
        Options<RouteOptions>(
            "What a path is answered with. The longest path that a request's path starts with wins.")
            .text("host", &RouteOptions::host, {.max_size = 255}, Apply::hot,
                  "For this host alone (\"a.org\", or \"*.a.org\" for all under it); empty: for any that has "
                  "no routes for the path of its own.")
            .text("path", &RouteOptions::path, {.max_size = 1024, .required = true, .allow_empty = false},
                  Apply::hot,
                  "Start of the paths that belong to the route: \"/a\" has \"/ab\", too. Compared with what "
                  "the request's path means: escapes decoded, \".\" and \"..\" resolved.")
            .text("name", &RouteOptions::name, {.max_size = 64}, Apply::hot,
                  "What metrics call the route, in their label \"route\"; empty: its host and path. "
                  "Routes of one name are counted together.")
            .table("return", &RouteOptions::fixed, ReturnOptions::options(), Apply::hot,
                   "A fixed reply. A route has one of return, redirect, handler and root.")
            .table("redirect", &RouteOptions::redirect, RedirectOptions::options(), Apply::hot,
                   "Another place to ask.")
            .text("handler", &RouteOptions::handler, {.max_size = 64}, Apply::hot,
                  "Code that makes the reply: \"status\" is the server's status as JSON; a program may have "
                  "more.")
            .text("root", &RouteOptions::root, {.max_size = 4096, .directory = true}, Apply::hot,
                  "A directory whose files are the replies: what follows the route's path names the file. "
                  "Links out of it are not followed.")
            .text("index", &RouteOptions::index, {.fallback = "index.html", .max_size = 255}, Apply::hot,
                  "With root: the file that answers for a directory; empty: none.")
            .boolean("listing", &RouteOptions::listing, false, Apply::hot,
                     "With root: list a directory that has no index: at most 2000 names, with size and time.")
            .boolean(
                "precompressed", &RouteOptions::precompressed, false, Apply::hot,
                "With root: send FILE.gz, where it is there, to who accepts gzip; not when it is older than "
                "FILE, or empty.");
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
                      "From the first byte of a request to the end of its headers, and from the "
                      "connection to its first byte; late is answered 408.")
            .duration("body_timeout", &HttpOptions::body_timeout_ms,
                      {.fallback = 30 * second, .min = 100, .max = hour}, Apply::hot,
                      "The longest pause within the body of a request; longer is answered 408.")
            .duration("idle_timeout", &HttpOptions::idle_timeout_ms,
                      {.fallback = 75 * second, .min = 100, .max = 24 * hour}, Apply::hot,
                      "How long a connection stays open between two requests.")
            .duration("send_timeout", &HttpOptions::send_timeout_ms,
                      {.fallback = 60 * second, .min = 100, .max = HttpOptions::max_send_timeout_ms},
                      Apply::hot, "How long the client may take to receive what waits for it.")
            .integer(
                "min_rate", &HttpOptions::min_rate, {.fallback = 240, .min = 0, .max = megabyte}, Apply::hot,
                "Bytes a second that a client must send of a body, or take of a reply, after the first five "
                "seconds in which it is waited for; slower is answered 408, or cut off. 0: any.")
            .duration("drain_idle", &HttpOptions::drain_idle_ms,
                      {.fallback = second / 2, .min = 0, .max = hour}, Apply::hot,
                      "How long a worker that drains waits for one more request on a connection between "
                      "two requests: its reply says close, so that no request is lost.")
            .text(
                "access_log", &HttpOptions::access_log, {.max_size = 4096, .master_file = true}, Apply::hot,
                "Where a line for each reply that has ended goes: a file, opened by the master, and again on "
                "USR1 (drover reopen); or \"stdout\", \"stderr\", \"journal\", \"fifo:PATH\", as log_file "
                "of [master] has them; empty: nowhere.")
            .text("access_log_format", &HttpOptions::access_log_format,
                  {.fallback = "combined", .max_size = 4096}, Apply::hot,
                  "\"common\" is NCSA's, \"combined\" has Referer and User-Agent as well, \"json\" is one "
                  "object a line; each says at its end how long the request took and whether its reply was "
                  "aborted. Or a template: \"{peer} {status} {bytes} {seconds}\".")
            .texts("types", &HttpOptions::types, {}, Apply::hot,
                   "Media types of files by the end of their names, before those that are built in: "
                   "\"md text/markdown\".",
                   256)
            .integer("open_files", &HttpOptions::open_files,
                     {.fallback = 1024,
                      .min = 0,
                      .max = 65536,
                      .word = "auto",
                      .fallback_is_word = true,
                      .resource = Resource::descriptors},
                     Apply::hot,
                     "Files that a worker keeps open for the next request; \"auto\": 1024, or a quarter of "
                     "the descriptors that it may have if that is less.")
            .duration(
                "open_files_check", &HttpOptions::open_files_check_ms,
                {.fallback = second, .min = 0, .max = hour}, Apply::hot,
                "How long an open file, and a route's root, is taken for what its name means without looking "
                "again; until the next reload at most. A file that is written in place is noticed at once.")
            .tables("error_page", &HttpOptions::error_pages, ErrorPageOptions::options(), 64, Apply::hot,
                    "What errors are answered with.")
            .tables("route", &HttpOptions::routes, RouteOptions::options(), 1024, Apply::hot,
                    "What paths are answered with; others are answered 404.");
    return table;
}

void check_http_options(const ImageNode& table, const HandlerTable& handlers, Complaints& complaints) {
    const HttpOptions options = HttpOptions::options().load(table);
    if (options.max_target >= options.max_head)
        complaints.add("max_target", "must be less than max_head, which it is a part of");
    for (std::size_t index = 0; index < options.types.size(); ++index)
        check_type(options.types[index], fmt::format("types[{}]", index), complaints);
    check_access_log_format(options.access_log_format, complaints);
    const ImageNode nodes = table.find("route");
    std::map<std::pair<std::string, std::string_view>, std::uint32_t> first_with;
    for (std::uint32_t index = 0; index < nodes.size(); ++index) {
        const RouteOptions& route = options.routes[index];
        const std::string key = fmt::format("route[{}]", index);
        check_path(route.path, key + ".path", complaints);
        check_route_host(route.host, key + ".host", complaints);
        check_route_name(route.name, key + ".name", complaints);
        const auto [first, is_new] = first_with.emplace(std::pair(lower_host(route.host), route.path), index);
        if (!is_new)
            complaints.add(key + ".path",
                           fmt::format("\"{}\" is the path of route[{}] already", route.path, first->second));
        check_route_kind(route, nodes.child(index), key, handlers, complaints);
    }
}

}  // namespace drover::http
