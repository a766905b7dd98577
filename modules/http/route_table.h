// RouteTable finds what a request is answered with, by its host and path: routes of that very host come
// first, then those of the longest "*.host" that it ends with, then those of any host; among them the longest
// path that the request's path starts with wins. Built once a generation, with every fixed reply ready to
// send. Runs in: worker.
#pragma once

#include "modules/http/http_options.h"
#include "modules/http/http_reply.h"
#include "modules/http/request_handler.h"
#include "modules/http/route_metrics.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover::http {

struct Route {
    std::string host;  // as lower_host() makes it; "*.a" matches what ends with ".a"; empty: any
    std::string path;
    std::optional<FixedReply> reply;  // when there is no handler
    RequestHandler* handler = nullptr;
    std::unique_ptr<RequestHandler> own_handler;  // of this route alone
    const RouteOptions* options = nullptr;        // of the table it was made from
    RouteMetrics metrics;                         // for the owner to fill in
};

class RouteTable {
  public:
    // `routes` must stay as long as the table. Handlers are for the owner to fill in.
    explicit RouteTable(std::span<const RouteOptions> routes);

    // Null: no route. The route stays where it is as long as the table. `host` may have a port.
    Route* find(std::string_view path, std::string_view host = {}) noexcept;
    std::span<Route> routes() noexcept { return routes_; }

  private:
    std::vector<Route> routes_;  // the one to take first
    bool has_hosts_ = false;
};

}  // namespace drover::http
