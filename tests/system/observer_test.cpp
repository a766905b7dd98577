// The observer of a running master: what it says of itself to programs, while all is well and while it is
// not.
#include "tests/support/master_under_test.h"
#include "tests/support/held_connections.h"

#include <algorithm>
#include <csignal>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

namespace drover::test {

namespace {

// Samples by their name with labels.
std::map<std::string, double> samples(const std::string& text) {
    std::map<std::string, double> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('#')) continue;
        const std::size_t blank = line.rfind(' ');
        REQUIRE(blank != std::string::npos);
        const bool is_new = found.emplace(line.substr(0, blank), std::stod(line.substr(blank + 1))).second;
        CHECK_MESSAGE(is_new, line);
    }
    return found;
}

struct Observed {
    explicit Observed(TestConfig given = {}) : config(std::move(given)), master(configure(), {}) {}

    TestConfig& configure() {
        config.rest += "[observer]\nlisten = \"" + port.address() + "\"\n";
        return config;
    }
    HttpReply get(std::string_view path) const { return http_get(port.number(), path); }
    HttpReply get(std::string_view path, const std::string& fields) const {
        HttpClient client(port.number());
        client.stream().send("GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
        return client.read_reply();
    }
    std::map<std::string, double> metrics() const { return samples(get("/metrics").body); }
    std::vector<pid_t> pids_of(std::string_view pool) const {
        std::vector<pid_t> pids;
        for (const WorkerView& worker : master.status().workers)
            if (worker.pool == pool && worker.pid != 0) pids.push_back(worker.pid);
        return pids;
    }

    ReservedPort port;
    TestConfig config;
    MasterUnderTest master;
};

}  // namespace

TEST_CASE("figures are what clients made") {
    Observed service;
    for (int i = 0; i < 7; ++i)
        CHECK(service.master.get() == "first");
    const auto metrics = service.metrics();
    CHECK(metrics.at("drover_http_requests_total") == 7);  // and none of the observer's own
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
    client.stream().send("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    CHECK(client.read_reply().status == 405);
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
    CHECK(service.get("/ready").body == "a pool has too few workers that answer\n");
    CHECK(service.get("/health").status == 200);
    CHECK(service.metrics().at("drover_http_requests_total") == 1);
    CHECK(StatusView::parse(service.get("/status.json").body).state == "degraded");
    for (const pid_t pid : workers)
        ::kill(pid, SIGCONT);
    service.master.wait_until("they go on", [&] { return service.get("/ready").status == 200; });
    service.master.finish();
}

TEST_CASE("a master that stands still is seen, and shown as it last was") {
    Observed service;
    REQUIRE(freeze(service.master.pid()));
    const HttpReply health = service.get("/health");
    CHECK(health.status == 503);
    CHECK(health.body == "the master does not answer\n");
    CHECK(service.get("/ready").status == 503);
    CHECK(service.metrics().at("drover_generation") == 1);
    CHECK(StatusView::parse(service.get("/status.json").body).serving(3));
    ::kill(service.master.pid(), SIGCONT);
    service.master.wait_until("it goes on", [&] { return service.get("/health").status == 200; });
    service.master.finish();
}

TEST_CASE("an observer that stands still or asks without end costs the master nothing") {
    Observed service({.rest = "[pool.observer2]\nmodules = [\"observer\"]\nworkers = 1\nobserves = true\n"});
    std::vector<HttpClient> clients;
    for (int i = 0; i < 100; ++i) {
        clients.emplace_back(service.port.number());
        clients.back().stream().send("GET /status.json HTTP/1.1\r\nHost: a\r\n\r\n");
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

}  // namespace drover::test
