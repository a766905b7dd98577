// Declarations of modules that do not exist, and the shortest way from a TOML text to findings or an image.
#pragma once

#include "conf/options/options.h"
#include "conf/reader/checker.h"
#include "conf/reader/toml_reader.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace toy {

enum class Mode { slow, fast };

struct Reply {
    int status = 200;
    std::string_view type;
    std::string_view body;

    static const drover::Options<Reply>& options() {
        static const auto table =
            drover::Options<Reply>("A fixed reply.")
                .integer("status", &Reply::status, {.fallback = 200, .min = 100, .max = 599},
                         drover::Apply::hot, "Status code.")
                .text("type", &Reply::type, {.fallback = "text/plain"}, drover::Apply::hot, "Content type.")
                .text("body", &Reply::body, {}, drover::Apply::hot, "What is sent.");
        return table;
    }
};

struct Route {
    std::string_view path;
    std::string_view handler;
    std::string_view key;
    Reply reply;

    static const drover::Options<Route>& options() {
        static const auto table =
            drover::Options<Route>("What is done with a path.")
                .text("path", &Route::path, {.max_size = 64, .required = true, .allow_empty = false},
                      drover::Apply::hot, "Prefix of the path.")
                .text("handler", &Route::handler, {}, drover::Apply::hot, "A handler's name.")
                .text("key", &Route::key, {.max_size = 64, .secret = true}, drover::Apply::hot, "A password.")
                .table("return", &Route::reply, Reply::options(), drover::Apply::hot, "The reply.");
        return table;
    }
};

struct Limits {
    std::uint64_t body = 0;
    std::int64_t idle_ms = 0;

    static const drover::Options<Limits>& options() {
        static const auto table =
            drover::Options<Limits>("Limits.")
                .size("body", &Limits::body, {.fallback = 1 << 20, .min = 0, .max = 1 << 30, .word = "off"},
                      drover::Apply::fresh, "Largest body.")
                .duration("idle", &Limits::idle_ms, {.fallback = 60000, .min = 10, .max = 3600000},
                          drover::Apply::hot, "Longest silence.");
        return table;
    }
};

struct Http {
    std::vector<Route> routes;
    Limits limits;
    std::vector<std::string_view> hosts;
    Mode mode = Mode::slow;
    bool gzip = false;

    static const drover::Options<Http>& options() {
        static const auto table =
            drover::Options<Http>("Toy of an HTTP server.")
                .tables("route", &Http::routes, Route::options(), 8, drover::Apply::hot, "The routes.")
                .table("limits", &Http::limits, Limits::options(), drover::Apply::hot, "The limits.")
                .texts("hosts", &Http::hosts, {"localhost"}, drover::Apply::fresh, "Names.", 3)
                .choice("mode", &Http::mode, {{"slow", Mode::slow}, {"fast", Mode::fast}}, Mode::fast,
                        drover::Apply::fresh, "How fast.")
                .boolean("gzip", &Http::gzip, true, drover::Apply::hot, "Compress.");
        return table;
    }
};

struct Echo {
    std::uint32_t max_buffer = 0;

    static const drover::Options<Echo>& options() {
        static const auto table = drover::Options<Echo>("Sends back what it receives.")
                                      .size("max_buffer", &Echo::max_buffer, {.fallback = 65536, .min = 1024},
                                            drover::Apply::hot, "Bytes.");
        return table;
    }
};

// A route with a handler and a body is one too many.
inline void check_http(const drover::ImageNode& options, drover::Complaints& complaints) {
    const Http http = Http::options().load(options);
    for (std::size_t index = 0; index < http.routes.size(); ++index)
        if (!http.routes[index].handler.empty() && !http.routes[index].reply.body.empty())
            complaints.add("route[" + std::to_string(index) + "].handler", "not beside a fixed reply");
}

inline std::vector<drover::ModuleDeclaration> modules() {
    using drover::CounterKind;
    drover::ModuleDeclaration http{.name = "http", .options = &Http::options(), .check = check_http};
    http.counters = {{"http_requests_total", CounterKind::counter, "requests", "Requests."},
                     {"toy_shared", CounterKind::gauge, "things", "Declared twice alike."}};
    drover::ModuleDeclaration echo{.name = "echo", .options = &Echo::options(), .takes_datagrams = true};
    echo.counters = {{"toy_shared", CounterKind::gauge, "things", "Declared twice alike."}};
    const drover::ModuleDeclaration beacon{
        .name = "beacon", .takes_connections = false, .takes_datagrams = true};
    return {http, echo, drover::ModuleDeclaration{.name = "bare"}, beacon,
            drover::ModuleDeclaration{.name = "observer"}};
}

inline drover::CheckedConfiguration check(std::string_view text, const drover::Image* running = nullptr) {
    return drover::check_document(drover::parse_toml(text, "/etc/toy.toml"), modules(), running);
}

// The findings, one a line, without the name of the file.
inline std::string findings(std::string_view text, const drover::Image* running = nullptr) {
    std::string lines;
    for (std::string line : check(text, running).findings) {
        for (std::size_t at = line.find("/etc/toy.toml"); at != std::string::npos;
             at = line.find("/etc/toy.toml"))
            line.replace(at, std::string_view("/etc/toy.toml").size(), "F");
        lines += line + "\n";
    }
    return lines;
}

}  // namespace toy
