// The options of [module.http]. Runs in: config reader (declared and checked) and worker (loaded).
#pragma once

#include "conf/options.h"

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

// [[module.http.route]]
struct RouteOptions {
    enum class Handler : std::uint8_t { none, status };

    std::string_view path;
    ReturnOptions fixed = {};  // key "return"; counts when there is no handler
    Handler handler = Handler::none;

    static const Options<RouteOptions>& options();
};

struct HttpOptions {
    std::size_t max_head = 0;
    std::size_t max_target = 0;
    unsigned max_headers = 0;
    std::uint64_t max_body = 0;
    std::int64_t header_timeout_ms = 0;
    std::int64_t body_timeout_ms = 0;
    std::int64_t idle_timeout_ms = 0;
    std::int64_t send_timeout_ms = 0;
    std::int64_t drain_idle_ms = 0;
    std::vector<RouteOptions> routes = {};

    static const Options<HttpOptions>& options();
};

// What the declarations cannot say: each route answers in exactly one way, no path stands twice, and so on.
void check_http_options(const ImageNode& table, Complaints& complaints);

}  // namespace drover::http
