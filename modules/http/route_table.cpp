#include "modules/http/route_table.h"

#include "modules/http/http_syntax.h"

#include <algorithm>
#include <tuple>

namespace drover::http {

namespace {

// "a:80" and "[::1]:80" without the port.
std::string_view without_port(std::string_view host) noexcept {
    const std::size_t colon = host.rfind(':');
    const bool has_port = colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos;
    return has_port ? host.substr(0, colon) : host;
}

// `pattern` is what lower_host() makes.
bool matches_host(std::string_view pattern, std::string_view host) noexcept {
    if (pattern.empty()) return true;
    if (!pattern.starts_with("*.")) return equals_ignoring_case(host, pattern);
    pattern.remove_prefix(1);
    return host.size() > pattern.size() &&
           equals_ignoring_case(host.substr(host.size() - pattern.size()), pattern);
}

// What comes first when it is greater.
auto rank(const Route& route) noexcept {
    const bool is_exact = !route.host.empty() && route.host.front() != '*';
    return std::tuple(is_exact, route.host.size(), route.path.size());
}

}  // namespace

RouteTable::RouteTable(std::span<const RouteOptions> routes) {
    routes_.reserve(routes.size());
    for (const RouteOptions& options : routes) {
        Route& route = routes_.emplace_back();
        route.host = lower_host(options.host);
        route.path = options.path;
        route.options = &options;
        has_hosts_ = has_hosts_ || !route.host.empty();
        if (options.kind() != RouteOptions::Kind::fixed) continue;
        const ReturnOptions& fixed = options.fixed;
        route.reply.emplace(
            Reply{.status = fixed.status, .type = fixed.type, .extra_headers = {}, .body = fixed.body});
    }
    std::ranges::stable_sort(routes_, std::ranges::greater{}, rank);
}

Route* RouteTable::find(std::string_view path, std::string_view host) noexcept {
    if (has_hosts_) host = without_final_dot(without_port(host));
    for (Route& route : routes_)
        if (path.starts_with(route.path) && matches_host(route.host, host)) return &route;
    return nullptr;
}

}  // namespace drover::http
