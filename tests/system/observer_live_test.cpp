// What the observer tells dashboards while it happens, as they see it without a browser.
#include "tests/support/held_connections.h"
#include "tests/support/observed_service.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <csignal>

#include <doctest/doctest.h>

namespace drover::test {

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
        stream.send("GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
        return stream.read_until("\r\n\r\n").starts_with("HTTP/1.1 200");
    });
    service.master.finish();
}

// The master keeps a thousand events, and one answer under way.
TEST_CASE("what happens while an observer stands still costs the master nothing, and is told afterwards") {
    Observed service({.log_file = "drover.log"});
    LiveClient live(service);
    live.wait_for({"data: {\"time_ms\":"});
    make_events(service.master.control_path(), 1500);
    const pid_t observer = service.pids_of("observer").front();
    REQUIRE(freeze(observer));
    const std::size_t pss_kb = pss_kb_of(service.master.pid());
    make_events(service.master.control_path(), 10'000);
    const std::size_t after_kb = pss_kb_of(service.master.pid());
    MESSAGE("PSS of the master " << pss_kb << " kB before, " << after_kb << " kB after");
    if (!sanitizers) CHECK(after_kb <= pss_kb + 160);
    const pid_t victim = service.pids_of("main").front();
    ::kill(victim, SIGKILL);
    service.master.wait_until("another one serves", [&] {
        const std::vector<pid_t> pids = service.pids_of("main");
        return pids.size() == 2 && std::ranges::find(pids, victim) == pids.end();
    });
    ::kill(observer, SIGCONT);
    live.wait_for({"\"event\":\"worker_death\"", "\"pid\":" + std::to_string(victim)});
    service.master.finish();
}

}  // namespace drover::test
