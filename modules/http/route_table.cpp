#include "modules/http/route_table.h"

#include <algorithm>

namespace drover::http {

RouteTable::RouteTable(std::span<const RouteOptions> routes) {
    routes_.reserve(routes.size());
    for (const RouteOptions& options : routes) {
        Route& route = routes_.emplace_back();
        route.path = options.path;
        route.handler = options.handler;
        if (options.handler != RouteOptions::Handler::none) continue;
        const ReturnOptions& fixed = options.fixed;
        route.reply.emplace(
            Reply{.status = fixed.status, .type = fixed.type, .extra_headers = {}, .body = fixed.body});
    }
    std::ranges::stable_sort(routes_, std::ranges::greater{},
                             [](const Route& route) { return route.path.size(); });
}

Route* RouteTable::find(std::string_view path) noexcept {
    for (Route& route : routes_)
        if (path.starts_with(route.path)) return &route;
    return nullptr;
}

}  // namespace drover::http
