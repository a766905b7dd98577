// The observer of a running master: what it says of itself to programs, while all is well and while it is
// not.
#include "tests/support/held_connections.h"
#include "tests/support/master_under_test.h"

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
    CHECK(service.metrics().at("drover_http_requests_total{route=\"/\"}") == 1);
    CHECK(StatusView::parse(service.get("/status.json").body).state == "degraded");
    for (const pid_t pid : workers)
        ::kill(pid, SIGCONT);
    service.master.wait_until("they go on", [&] { return service.get("/ready").status == 200; });
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

// A dashboard without a browser: what /live sends, chunks and all.
struct LiveClient {
    explicit LiveClient(const Observed& service, const std::string& fields = "")
        : stream(StreamClient::connect_tcp(service.port.number())) {
        stream.send("GET /live HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
        head = stream.read_until("\r\n\r\n");
    }
    // Up to the next message that has all of these.
    std::string wait_for(const std::vector<std::string>& parts) {
        for (const Deadline deadline;;) {
            REQUIRE_MESSAGE(!deadline.passed(), "no message with " << parts.front());
            std::string message = stream.read_until("\n\n");
            const bool all = std::ranges::all_of(
                parts, [&](const std::string& part) { return message.find(part) != std::string::npos; });
            if (all) return message;
        }
    }

    StreamClient stream;
    std::string head;
};

TEST_CASE("a kill and a reload are seen live, with their events") {
    Observed service;
    LiveClient live(service);
    CHECK(live.head.find("Content-Type: text/event-stream\r\n") != std::string::npos);
    live.wait_for({"event: event\nid: ", "-1\n", "\"event\":\"start\""});
    live.wait_for({"data: {\"time_ms\":", "\"answers\":true", "\"generation\":1"});
    const pid_t victim = service.pids_of("main").front();
    ::kill(victim, SIGKILL);
    const std::string death =
        live.wait_for({"\"event\":\"worker_death\"", "\"pid\":" + std::to_string(victim), "signal 9"});
    live.wait_for({"data: {\"time_ms\":", "\"deaths\":1"});
    service.config.master = "reload = \"fresh\"\n";
    service.config.body = "second";
    service.master.write_config(service.config);
    REQUIRE(service.master.control("reload").ok);
    // The worker that sent this is gone; who comes again has missed nothing.
    live.stream.read_to_end();
    const std::size_t id = death.find("id: ") + 4;
    LiveClient again(service, "Last-Event-ID: " + death.substr(id, death.find('\n', id) - id) + "\r\n");
    const std::string first = again.wait_for({"event: event\n"});
    CHECK(first.find("\"event\":\"worker_death\"") == std::string::npos);
    again.wait_for({"\"event\":\"reload_verdict\""});
    again.wait_for({"data: {\"time_ms\":", "\"generation\":2"});
    service.master.finish();
}

TEST_CASE("no more dashboards than max_live") {
    Observed service({.rest = "[module.observer]\nmax_live = 2\n"});
    std::vector<LiveClient> clients;
    for (int i = 0; i < 2; ++i)
        clients.emplace_back(service);
    for (LiveClient& client : clients)
        client.wait_for({"data: {\"time_ms\":"});
    const HttpReply refused = service.get("/live");
    CHECK(refused.status == 503);
    CHECK(refused.head.find("Retry-After: ") != std::string::npos);
    CHECK(service.get("/health").status == 200);
    clients.pop_back();
    // One that has left is noticed with the next message.
    service.master.wait_until("there is room again", [&] {
        StreamClient stream = StreamClient::connect_tcp(service.port.number());
        stream.send("GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
        return stream.read_until("\r\n\r\n").starts_with("HTTP/1.1 200");
    });
    service.master.finish();
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
        for (const char* elsewhere : {"http://127", "https://", "//cdn", "style=\""})
            CHECK(reply.body.find(elsewhere) == std::string::npos);
    }
    service.master.finish();
}

}  // namespace drover::test
