// RouteTable finds what a path is answered with: the longest path that it starts with wins. Built once a
// generation, with every fixed reply ready to send. Runs in: worker.
#pragma once

#include "modules/http/http_options.h"
#include "modules/http/http_reply.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover::http {

struct Route {
    std::string path;
    RouteOptions::Handler handler = RouteOptions::Handler::none;
    std::optional<FixedReply> reply;  // when there is no handler
};

class RouteTable {
  public:
    explicit RouteTable(std::span<const RouteOptions> routes);

    // Null: no route. The route stays where it is as long as the table.
    Route* find(std::string_view path) noexcept;

  private:
    std::vector<Route> routes_;  // longest path first
};

}  // namespace drover::http
