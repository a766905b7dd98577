#include "modules/http/route_metrics.h"

#include "modules/http/http.h"
#include "tests/modules/http_server_fixture.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;
using namespace drover::http;

namespace {

const std::string routes_of_all_kinds = R"(
[module.http]
max_head = "1K"
max_target = 100
max_body = 100
header_timeout = "10s"
[[module.http.route]]
path = "/"
return = { body = "hello\n" }
[[module.http.route]]
host = "*.A.org"
path = "/only/"
redirect = { to = "/" }
[[module.http.route]]
path = "/x/1"
name = "both"
return = { status = 503 }
[[module.http.route]]
path = "/x/2"
name = "both"
handler = "status"
)";

struct Large final : RequestHandler {
    void handle(const Request&, Response response) override { response.send(std::string(8'000'000, 'x')); }
};
struct LargeModule final : HttpModule {
    void add_handlers(HandlerTable& handlers) const override { handlers.add<Large>("large"); }
};

std::string of(const std::string& name, const std::string& route) {
    return "drover_http_" + name + "{route=\"" + route + "\"}";
}
std::string code(const std::string& route, const std::string& code) {
    return "drover_http_responses_total{route=\"" + route + "\",code=\"" + code + "\"}";
}
std::string ask(const std::string& target, const std::string& more = "", const std::string& host = "a") {
    return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n";
}

}  // namespace

TEST_CASE("a route is called by its name, or by its host and path") {
    CHECK(RouteMetrics::label_of({.path = "/a"}) == "/a");
    CHECK(RouteMetrics::label_of({.host = "*.A.org", .path = "/a"}) == "*.a.org/a");
    CHECK(RouteMetrics::label_of({.host = "a.org.", .path = "/a"}) == "a.org/a");
    CHECK(RouteMetrics::label_of({.host = "a", .path = "/a", .name = "mine"}) == "mine");
    const std::string long_path(1000, '/');
    std::vector<CounterDeclaration> counters;
    RouteMetrics::declare(counters, RouteMetrics::label_of({.path = long_path}));
    RouteMetrics::declare(counters, std::string(64, 'x'));
    CHECK(counters.size() == 16);
    for (const CounterDeclaration& counter : counters)
        CHECK(declaration_fault(counter).empty());
}

TEST_CASE("requests, statuses, bytes and times count for their route") {
    Server server(routes_of_all_kinds);
    FixtureClient client(server);
    const std::string requests = ask("/") + ask("/a") + ask("/only/1", "", "b.a.org:80") + ask("/x/1") +
                                 ask("/x/2") + "POST /x/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n12";
    REQUIRE(client.send(requests));
    REQUIRE(client.read_until([&] { return occurrences(client.received(), "HTTP/1.1 ") == 6; }));
    CHECK(server.count(of("requests_total", "/")) == 2);
    CHECK(server.count(code("/", "2xx")) == 2);
    CHECK(server.count(of("response_bytes_total", "/")) == 2 * ok_size);
    CHECK(server.count(of("request_seconds", "/")) == 2);
    CHECK(server.count(code("*.a.org/only/", "3xx")) == 1);
    CHECK(server.count(of("requests_total", "both")) == 3);
    CHECK(server.count(code("both", "5xx")) == 1);
    CHECK(server.count(code("both", "2xx")) == 1);
    CHECK(server.count(code("both", "4xx")) == 1);
    CHECK(server.count(of("request_seconds", "both")) == 3);
    CHECK(server.count("drover_http_response_bytes_total") == client.received().size());
    CHECK(server.count("drover_http_request_bytes_total") == requests.size());
}

TEST_CASE("what has no route, and what is no request, count apart") {
    Server server(
        "[module.http]\nmax_body = 10\nheader_timeout = \"10s\"\n[[module.http.route]]\npath = \"/a\"\n"
        "return = { body = \"x\" }\n");
    FixtureClient client(server);
    REQUIRE(
        client.send(ask("/") + "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + ask("/%00") + "nonsense\r\n\r\n"));
    REQUIRE(client.read_to_end());
    CHECK(server.count(code("unmatched", "4xx")) == 1);
    CHECK(server.count(code("unmatched", "2xx")) == 1);
    CHECK(server.count(code("malformed", "4xx")) == 2);
    CHECK(server.count(of("requests_total", "malformed")) == 2);

    exchange_to_end(server, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    CHECK(server.count(code("/a", "4xx")) == 1);
    FixtureClient slow(server);
    REQUIRE(slow.send("GET /a"));
    server.settle();
    server.pass(std::chrono::seconds(11));
    REQUIRE(slow.read_to_end());
    CHECK(server.count(code("malformed", "4xx")) == 3);
    CHECK(server.count("drover_http_requests_total") == 6);
    CHECK(server.count("drover_http_responses_total") == 6);
    CHECK(server.count("drover_http_request_seconds") == 6);
}

TEST_CASE("a reply counts when its last byte has left; what has not left when its client goes is aborted") {
    constexpr ModuleFactory modules[] = {make_module<LargeModule>};
    WorkerFixture server(modules, "http",
                         "[[module.http.route]]\npath = \"/\"\nhandler = \"large\"\n"
                         "[[module.http.route]]\npath = \"/small\"\nreturn = { body = \"x\" }\n");
    FixtureClient reads(server);
    FixtureClient goes(server);
    REQUIRE(reads.send(ask("/small") + ask("/")));
    REQUIRE(goes.send(ask("/")));
    REQUIRE(server.run_until([&] { return server.count("drover_http_requests_total") == 3; }));
    server.settle();
    CHECK(server.count("drover_http_responses_total") == 1);
    CHECK(server.count(of("request_seconds", "/small")) == 1);
    CHECK(server.count("drover_http_request_seconds") == 1);
    REQUIRE(reads.read_until([&] { return server.count("drover_http_request_seconds") > 1; }));
    CHECK(server.count(code("/", "2xx")) == 1);
    CHECK(server.count(of("response_bytes_total", "/")) > 8'000'000);
    CHECK(server.count(of("response_bytes_total", "/")) < 8'000'200);
    goes.close();
    CHECK(server.run_until([&] { return server.count(of("request_seconds", "/")) == 2; }));
    CHECK(server.count(code("/", "2xx")) == 1);
    CHECK(server.count(of("responses_aborted_total", "/")) == 1);
    CHECK(server.count(of("response_bytes_total", "/")) < 16'000'000);
}
