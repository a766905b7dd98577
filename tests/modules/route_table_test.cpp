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

TEST_CASE("routes of a host come first, an exact one before those under it") {
    const auto of_host = [](std::string_view host, std::string_view path, unsigned status) {
        RouteOptions route = fixed(path, status);
        route.host = host;
        return route;
    };
    const std::vector<RouteOptions> routes{fixed("/", 200),
                                           fixed("/long/path", 201),
                                           of_host("A.org", "/", 202),
                                           of_host("*.a.org", "/", 203),
                                           of_host("*.b.a.org", "/x", 204),
                                           of_host("[::1]", "/", 205)};
    RouteTable table(routes);
    const auto status = [&](std::string_view host, std::string_view path) {
        return table.find(path, host)->reply->status();
    };
    CHECK(status("", "/") == 200);
    CHECK(status("other", "/long/path") == 201);
    CHECK(status("a.org", "/long/path") == 202);
    CHECK(status("a.ORG:8080", "/") == 202);
    CHECK(status("a.org.", "/") == 202);
    CHECK(status("A.org.:8080", "/") == 202);
    CHECK(status("a.org..", "/") == 200);
    CHECK(status("w.a.org.", "/") == 203);
    CHECK(status("w.a.org", "/") == 203);
    CHECK(status("x.b.a.org:1", "/x") == 204);
    CHECK(status("x.b.a.org", "/y") == 203);
    CHECK(status("xa.org", "/") == 200);
    CHECK(status(".a.org", "/") == 200);
    CHECK(status("[::1]:80", "/") == 205);
    CHECK(status("[::1]", "/") == 205);
}
