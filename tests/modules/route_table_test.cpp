#include "modules/http/route_table.h"

#include <doctest/doctest.h>

using namespace drover::http;

namespace {

RouteOptions fixed(std::string_view path, unsigned status) {
    return {.path = path, .fixed = {.status = status, .type = "text/plain", .body = "x"}};
}

unsigned status_at(RouteTable& table, std::string_view path) {
    Route* const route = table.find(path);
    if (route == nullptr) return 404;
    return route->reply ? route->reply->status() : 0;
}

}  // namespace

TEST_CASE("the longest prefix wins, in whatever order the routes stand") {
    const RouteOptions status{.path = "/a/status", .handler = "status"};
    for (const bool reversed : {false, true}) {
        std::vector<RouteOptions> routes{fixed("/a/", 201), fixed("/", 200), fixed("/a/b", 202), status};
        if (reversed) std::reverse(routes.begin(), routes.end());
        RouteTable table(routes);
        CHECK(status_at(table, "/") == 200);
        CHECK(status_at(table, "/a") == 200);
        CHECK(status_at(table, "/a/") == 201);
        CHECK(status_at(table, "/a/b") == 202);
        CHECK(status_at(table, "/a/bc/d") == 202);
        CHECK(status_at(table, "/a/c") == 201);
        CHECK(status_at(table, "/a/status") == 0);
        CHECK(status_at(table, "*") == 404);
        CHECK(status_at(table, "") == 404);
    }
}

TEST_CASE("no route, no answer") {
    RouteTable none({});
    CHECK(none.find("/") == nullptr);
    const std::vector<RouteOptions> routes{fixed("/a", 200)};
    RouteTable table(routes);
    CHECK(table.find("/") == nullptr);
    CHECK(table.find("/A") == nullptr);
}
