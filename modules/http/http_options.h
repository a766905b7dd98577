// The options of [module.http]. Runs in: config reader (declared and checked) and worker (loaded).
#pragma once

#include "conf/options/options.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace drover::http {

// return = { status = 200, type = "text/plain", body = "..." }
struct ReturnOptions {
    unsigned status = 0;
    std::string_view type;
    std::string_view body;

    static const Options<ReturnOptions>& options();
};

// redirect = { to = "https://a/", status = 301, keep_rest = true }
struct RedirectOptions {
    std::string_view to;
    unsigned status = 0;
    bool keep_rest = false;

    static const Options<RedirectOptions>& options();
};

// [[module.http.route]]
struct RouteOptions {
    enum class Kind : std::uint8_t { none, fixed, redirect, handler, files };

    std::string_view host = {};
    std::string_view path = {};
    std::string_view name = {};
    ReturnOptions fixed = {};  // key "return"; counts when there is nothing else
    RedirectOptions redirect = {};
    std::string_view handler = {};
    std::string_view root = {};
    std::string_view index = {};
    bool listing = false;
    bool precompressed = false;

    // Of a route that has been checked.
    Kind kind() const noexcept {
        if (!handler.empty()) return Kind::handler;
        if (!root.empty()) return Kind::files;
        return redirect.to.empty() ? Kind::fixed : Kind::redirect;
    }
    static const Options<RouteOptions>& options();
};

// [[module.http.error_page]]
struct ErrorPageOptions {
    unsigned status = 0;
    std::string_view type;
    std::string_view body;

    static const Options<ErrorPageOptions>& options();
};

struct HttpOptions {
    static constexpr std::int64_t max_send_timeout_ms = 60 * 60 * 1000;

    std::size_t max_head = 0;
    std::size_t max_target = 0;
    unsigned max_headers = 0;
    std::uint64_t max_body = 0;
    std::int64_t header_timeout_ms = 0;
    std::int64_t body_timeout_ms = 0;
    std::int64_t idle_timeout_ms = 0;
    std::int64_t send_timeout_ms = 0;
    std::uint64_t min_rate = 0;  // bytes a second; 0: none
    std::int64_t drain_idle_ms = 0;
    std::string_view access_log = {};
    std::string_view access_log_format = "combined";
    std::vector<std::string_view> types = {};  // "md text/markdown"
    std::size_t open_files = 0;
    std::int64_t open_files_check_ms = 0;
    std::vector<ErrorPageOptions> error_pages = {};
    std::vector<RouteOptions> routes = {};
    // Not a key: false where the requests are not the service's own.
    bool counted = true;

    static const Options<HttpOptions>& options();
};

class HandlerTable;

// What the declarations cannot say: each route answers in exactly one way, no path stands twice, and so on.
// `handlers` has the names that "handler" may have.
void check_http_options(const ImageNode& table, const HandlerTable& handlers, Complaints& complaints);

}  // namespace drover::http
