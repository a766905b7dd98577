// The observer of a running master: what it says of itself to programs, while all is well and while it is
// not.
#include "tests/support/held_connections.h"
#include "tests/support/observed_service.h"
#include "tests/support/proc.h"

#include <csignal>
#include <regex>

#include <doctest/doctest.h>

namespace drover::test {

TEST_CASE("figures are what clients made") {
    Observed service;
    for (int i = 0; i < 7; ++i)
        CHECK(service.master.get() == "first");
    const auto metrics = service.metrics();
    CHECK(metrics.at("drover_http_requests_total{route=\"/\"}") == 7);  // and none of the observer's own
    CHECK(metrics.at("drover_generation") == 1);
    CHECK(metrics.at("drover_worker_starts_total") == 3);
    CHECK(metrics.at("drover_worker_generation{pool=\"main\",slot=\"0\"}") == 1);
    CHECK(metrics.at("drover_worker_generation{pool=\"observer\",slot=\"0\"}") == 1);
    CHECK(metrics.at("drover_worker_resident_bytes{pool=\"main\",slot=\"1\"}") > 100'000);
    CHECK(metrics.contains("drover_listener_queue_connections{pool=\"main\",listener=\"127.0.0.1:" +
                           std::to_string(service.master.http_port()) + "\"}"));
    service.master.finish();
}

TEST_CASE("each answer says what it is") {
    Observed service;
    const HttpReply plain = service.get("/metrics");
    CHECK(plain.status == 200);
    CHECK(plain.head.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != std::string::npos);
    CHECK(plain.head.find("X-Content-Type-Options: nosniff\r\n") != std::string::npos);
    CHECK(plain.head.find("Cache-Control: no-store\r\n") != std::string::npos);
    CHECK(plain.body.find("# EOF") == std::string::npos);
    const HttpReply open = service.get(
        "/metrics",
        "Accept: application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5\r\n");
    CHECK(open.head.find("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n") !=
          std::string::npos);
    CHECK(open.body.ends_with("\n# EOF\n"));
    CHECK(open.body.find("# TYPE drover_http_requests counter\n") != std::string::npos);

    const HttpReply status = service.get("/status.json");
    CHECK(status.head.find("Content-Type: application/json\r\n") != std::string::npos);
    const StatusView view = StatusView::parse(status.body);
    CHECK(view.pid == service.master.pid());
    CHECK(view.serving(3));
    CHECK(service.get("/health").body == "ok\n");
    CHECK(service.get("/ready").body == "ready\n");
    for (const char* path : {"/metrics/x", "/metricsx", "/nothing", "/health/"}) {
        CAPTURE(path);
        CHECK(service.get(path).status == 404);
    }
    HttpClient client(service.port.number());
    client.stream().send("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    CHECK(client.read_reply().status == 405);
    service.master.finish();
}

TEST_CASE("who asks for a name that could be anybody's is told nothing") {
    Observed service({.rest = "[module.observer]\nhosts = [\"drover.example\"]\n"});
    const auto get = [&](const std::string& path, const std::string& host) {
        HttpClient client(service.port.number());
        client.stream().send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        return client.read_reply();
    };
    for (const char* const path :
         {"/", "/metrics", "/status.json", "/live", "/health", "/ready", "/text.js"}) {
        CAPTURE(path);
        const HttpReply refused = get(path, "rebound.example:" + std::to_string(service.port.number()));
        CHECK(refused.status == 421);
        CHECK(refused.body.find("hosts") != std::string::npos);
        CHECK(refused.body.find("drover") == std::string::npos);
    }
    CHECK(get("/health", service.port.address()).status == 200);
    CHECK(get("/health", "Drover.example").status == 200);
    service.config.rest = "[observer]\nlisten = \"" + service.port.address() +
                          "\"\n[module.observer]\nhosts = [\"http://a\", \"a:80\"]\n";
    service.master.write_config(service.config);
    const ControlReply reply = service.master.control("reload");
    CHECK_FALSE(reply.ok);
    CHECK(reply.text.find("\"a:80\" is not a name without a port") != std::string::npos);
    service.master.finish();
}

TEST_CASE("nobody's help is needed while all other workers stand still") {
    Observed service({.pool = "hang_timeout = \"off\"\n"});
    CHECK(service.master.get() == "first");
    const std::vector<pid_t> workers = service.pids_of("main");
    REQUIRE(workers.size() == 2);
    for (const pid_t pid : workers)
        REQUIRE(freeze(pid));
    service.master.wait_until("it is noticed", [&] { return service.get("/ready").status == 503; });
    CHECK(service.get("/ready").body == "pool main: 0 of 2 workers serve, 1 needed; 2 not heard of\n");
    CHECK(service.get("/health").status == 200);
    CHECK(service.metrics().at("drover_http_requests_total{route=\"/\"}") == 1);
    CHECK(StatusView::parse(service.get("/status.json").body).state == "degraded");
    CHECK(service.get("/").body.find("<title>Drover</title>") != std::string::npos);
    LiveClient live(service);
    live.wait_for({"data: {\"time_ms\":", "\"answers\":true", "\"state\":\"degraded\""});
    for (const pid_t pid : workers)
        ::kill(pid, SIGCONT);
    service.master.wait_until("they go on", [&] { return service.get("/ready").status == 200; });
    service.master.finish();
}

TEST_CASE("workers that stand still are seen while a reload waits for them") {
    Observed service({.master = "prepare_timeout = \"1m\"\n", .pool = "hang_timeout = \"off\"\n"});
    const std::vector<pid_t> workers = service.pids_of("main");
    for (const pid_t pid : workers)
        REQUIRE(freeze(pid));
    service.config.body = "second";
    service.master.write_config(service.config);
    service.master.signal(SIGHUP);
    service.master.wait_until("the reload waits", [&] {
        return StatusView::parse(service.get("/status.json").body).state == "reloading";
    });
    const HttpReply ready = service.get("/ready");
    CHECK(ready.status == 503);
    CHECK(ready.body == "pool main: 0 of 2 workers serve, 1 needed; 2 not heard of\n");
    CHECK(service.metrics().at("drover_master_state{state=\"reloading\"}") == 1);
    for (const pid_t pid : workers)
        ::kill(pid, SIGCONT);
    service.master.wait_until("they go on", [&] { return service.get("/ready").status == 200; });
    service.master.finish();
}

TEST_CASE("a worker that is stuck is seen though it says that it serves") {
    Observed service({.pool = "hang_timeout = \"off\"\n"});
    LiveClient live(service);
    const pid_t stuck = service.pids_of("main").front();
    const std::string age = "drover_worker_heartbeat_age_seconds{pool=\"main\",slot=\"0\"}";
    REQUIRE(freeze(stuck));
    // Longer than any report takes.
    service.master.wait_until("its age grows", [&] { return service.metrics().at(age) > 1.5; });
    CHECK(service.metrics().at("drover_workers{pool=\"main\",state=\"serving\"}") == 2);
    live.wait_for({"\"pid\":" + std::to_string(stuck), "\"silent_s\":"});
    ::kill(stuck, SIGCONT);
    service.master.wait_until("it goes on", [&] { return service.metrics().at(age) < 1; });
    service.master.finish();
}

TEST_CASE("a master that stands still is seen, and shown as it last was") {
    Observed service;
    CHECK(service.get("/ready").status == 200);
    REQUIRE(freeze(service.master.pid()));
    const HttpReply health = service.get("/health");
    CHECK(health.status == 503);
    CHECK(health.body == "the master does not answer\n");
    CHECK(service.get("/ready").status == 503);
    CHECK(service.metrics().at("drover_generation") == 1);
    CHECK(service.metrics().at("drover_master_state{state=\"unresponsive\"}") == 1);
    CHECK(StatusView::parse(service.get("/status.json").body).serving(3));
    ::kill(service.master.pid(), SIGCONT);
    service.master.wait_until("it goes on", [&] { return service.get("/health").status == 200; });
    service.master.finish();
}

TEST_CASE("a hundred that ask at once are answered; one that stands still holds nobody up") {
    Observed service({.rest = "[pool.observer2]\nmodules = [\"observer\"]\nworkers = 1\nobserves = true\n"});
    std::vector<HttpClient> clients;
    for (int i = 0; i < 100; ++i) {
        clients.emplace_back(service.port.number());
        clients.back().stream().send("GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    for (HttpClient& client : clients)
        CHECK(client.read_reply().status == 200);
    const pid_t observer = service.pids_of("observer").front();
    REQUIRE(freeze(observer));
    for (int i = 0; i < 5; ++i)
        REQUIRE(service.master.control("reload").ok);
    CHECK(service.master.get() == "first");
    ::kill(observer, SIGCONT);
    service.master.wait_until("it goes on", [&] { return service.get("/health").status == 200; });
    service.master.finish();
}

TEST_CASE("a killed observer comes back; reloads bring it and take it away") {
    Observed service;
    const std::vector<pid_t> before = service.pids_of("observer");
    ::kill(before.front(), SIGKILL);
    service.master.wait_replaced(before);
    CHECK(service.metrics().at("drover_worker_deaths_total{cause=\"signal\"}") == 1);
    TestConfig without = service.config;
    without.rest.clear();
    service.master.write_config(without);
    REQUIRE(service.master.control("reload").ok);
    CHECK_THROWS(service.get("/health"));
    service.master.write_config(service.config);
    REQUIRE(service.master.control("reload").ok);
    CHECK(service.get("/ready").status == 200);
    CHECK(service.metrics().at("drover_generation") == 3);
    service.master.finish();
}

TEST_CASE("the module in a pool that does not observe is refused, with the reason") {
    MasterUnderTest master;
    TestConfig config;
    config.rest = "[pool.blind]\nmodules = [\"observer\"]\nworkers = 1\n";
    master.write_config(config);
    const ControlReply reply = master.control("reload");
    CHECK_FALSE(reply.ok);
    CHECK(reply.text.find("observes = true") != std::string::npos);
    CHECK(master.get() == "first");
    master.finish();
}

// Of HTML, SVG, CSS and JavaScript; the name of a namespace is no address either.
std::string without_comments(const std::string& text) {
    const std::regex apart(R"(<!--[^]*?-->|/\*[^]*?\*/|(^|\n) *//[^\n]*|xmlns="[^"]*")");
    return std::regex_replace(text, apart, "\n");
}

TEST_CASE("without_comments leaves what is code") {
    CHECK(without_comments("a /* http://a */ b") == "a \n b");
    CHECK(without_comments("<!-- http://a -->b") == "\nb");
    CHECK(without_comments("x;\n  // http://a\ny = \"http://b\"") == "x;\n\ny = \"http://b\"");
}

TEST_CASE("the page comes with a policy that allows what is here and nothing else") {
    Observed service;
    const std::pair<const char*, const char*> files[] = {{"/", "text/html; charset=utf-8"},
                                                         {"/dashboard.css", "text/css; charset=utf-8"},
                                                         {"/dashboard.js", "text/javascript; charset=utf-8"},
                                                         {"/chart.js", "text/javascript; charset=utf-8"},
                                                         {"/text.js", "text/javascript; charset=utf-8"},
                                                         {"/icon.svg", "image/svg+xml"}};
    for (const auto& file : files) {
        const char* const path = file.first;
        const std::string type = file.second;
        CAPTURE(path);
        const HttpReply reply = service.get(path);
        CHECK(reply.status == 200);
        CHECK(reply.head.find("Content-Type: " + type + "\r\n") != std::string::npos);
        CHECK(reply.head.find(
                  "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                  "connect-src 'self';") != std::string::npos);
        CHECK(reply.head.find("unsafe") == std::string::npos);
        CHECK(reply.head.find("X-Content-Type-Options: nosniff\r\n") != std::string::npos);
        CHECK(reply.body.size() > 300);
        CHECK(reply.body.find("style=\"") == std::string::npos);
        const std::string code = without_comments(reply.body);
        CHECK(code.size() > 200);
        for (const char* const elsewhere : {"http://", "https://", "\"//", "'//", "(//", "`//", "ws://"})
            CHECK_MESSAGE(code.find(elsewhere) == std::string::npos, elsewhere);
    }
    service.master.finish();
}

}  // namespace drover::test
