#include "master/control/status_text.h"

#include "master/control/counters_text.h"
#include "tests/core/protocol/status_fixture.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

using namespace drover;
using test::StatusFixture;

namespace {

ServingView view_of_main(unsigned workers, unsigned serving, unsigned min_healthy = 1) {
    return {.pools = {{"main", workers, serving, min_healthy}},
            .listeners = {{"127.0.0.1:8080", "127.0.0.1:8080", "main", "http"}}};
}

std::string screen_of(StatusFixture& fixture, const ServingView& view = view_of_main(2, 2)) {
    fixture.publish();
    return status_screen(fixture.reader, view, StatusFixture::now_ms);
}

bool holds(const std::string& text, std::string_view piece) {
    CAPTURE(text);
    return text.find(piece) != text.npos;
}

}  // namespace

TEST_CASE("ages and sizes as people say them") {
    CHECK(age_text(-5) == "0s");
    CHECK(age_text(999) == "0s");
    CHECK(age_text(59'999) == "59s");
    CHECK(age_text(60'000) == "1m 00s");
    CHECK(age_text(192'000) == "3m 12s");
    CHECK(age_text(3'599'999) == "59m 59s");
    CHECK(age_text(7'500'000) == "2h 05m");
    CHECK(age_text(86'400'000) == "1d 00h");
    CHECK(age_text(9'223'372'036'854'775'807) == "106751991167d 07h");

    CHECK(bytes_text(0) == "0 B");
    CHECK(bytes_text(1023) == "1023 B");
    CHECK(bytes_text(1024) == "1.0 KiB");
    CHECK(bytes_text(1536) == "1.5 KiB");
    CHECK(bytes_text(1024 * 1024 - 1) == "1.0 MiB");
    CHECK(bytes_text(2'147'483'648) == "2.0 GiB");
    CHECK(bytes_text(18'446'744'073'709'551'615U) == "16384.0 PiB");
}

TEST_CASE("the whole screen") {
    StatusFixture fixture;
    WorkerStatus& worker = fixture.add_worker(0, WorkerState::serving);
    worker.pid = 4712;
    worker.instance = 7;
    worker.started_ms = StatusFixture::now_ms - 190'000;
    worker.heartbeat_ms = StatusFixture::now_ms - 450;
    worker.cpu_us = 1'250'000;
    worker.resident_bytes = 2'202'010;
    fixture.count(worker, 12'345, 6);
    WorkerStatus& waiting = fixture.add_worker(10, WorkerState::backing_off);
    waiting.restarts = 3;
    waiting.next_attempt_ms = StatusFixture::now_ms + 1500;
    CHECK(screen_of(fixture, view_of_main(2, 1)) ==
          "drover 0.1.0  running  pid 4711  generation 3  up 3m 12s\n"
          "last reload: none yet\n"
          "\n"
          "POOL  SERVING  CONNS  ACCEPTED   CPU      MEM\n"
          "main      1/2      6     12345  1.2s  2.1 MiB\n"
          "\n"
          "LISTENER        POOL  MODULE  WAITING  DROPPED\n"
          "127.0.0.1:8080  main  http          -        -\n"
          "\n"
          "WORKER    PID  GEN  STATE                 CONNS  ACCEPTED  RESTARTS     AGE  HEARTBEAT   CPU      "
          "MEM\n"
          "main/0   4712    3  serving                   6     12345         0  3m 10s       0.4s  1.2s  "
          "2.1 MiB\n"
          "main/10     -    3  backing_off, in 1.5s      0         0         3       -          -     -      "
          "  -\n");
}

TEST_CASE("the last reload") {
    StatusFixture fixture;
    fixture.master.last_reload = ReloadResult::ok;
    fixture.master.last_reload_generation = 3;
    fixture.master.last_reload_ms = StatusFixture::now_ms - 65'000;
    CHECK(holds(screen_of(fixture), "\nlast reload: ok, generation 3, 1m 05s ago\n"));
    fixture.master.last_reload = ReloadResult::refused;
    StatusFixture::set_text(fixture.master.last_reload_error, "a.toml:1:1: one\na.toml:2:1: \x1b[31mtwo\n");
    CHECK(holds(screen_of(fixture),
                "\nlast reload: refused, 1m 05s ago\n  a.toml:1:1: one\n  a.toml:2:1: "
                "\\x1b[31mtwo\n\nPOOL"));
    fixture.master.last_reload = ReloadResult::rolled_back;
    CHECK(holds(screen_of(fixture), "\nlast reload: rolled back, 1m 05s ago\n  a.toml"));
}

TEST_CASE("a worker that is stopped, or not heard of, does not look as if it served") {
    StatusFixture fixture;
    WorkerStatus& worker = fixture.add_worker(0, WorkerState::serving);
    worker.pid = 4712;
    worker.report_interval_ms = 1000;
    worker.heartbeat_ms = StatusFixture::now_ms - 900;
    CHECK(holds(screen_of(fixture), "  serving  "));
    fixture.workers[0].heartbeat_ms = StatusFixture::now_ms - 7000;
    CHECK(holds(screen_of(fixture), "  silent 7.0s  "));
    CHECK_FALSE(holds(screen_of(fixture), "serving"));
    fixture.workers[0].stands_still = 1;
    CHECK(holds(screen_of(fixture), "  stands still, silent 7.0s  "));
    CHECK_FALSE(holds(screen_of(fixture), "serving"));
}

TEST_CASE("what is degraded stands near the top, with the reason") {
    StatusFixture fixture;
    fixture.master.state = MasterState::degraded;
    CHECK(holds(screen_of(fixture, view_of_main(4, 1, 2)),
                "none yet\ndegraded: in pool main 1 of 4 workers serve, and min_healthy is 2\n\n"));
    CHECK_FALSE(holds(screen_of(fixture, view_of_main(4, 2, 2)), "degraded: "));
}

TEST_CASE("of many workers those are shown that are not as they should be, and it stays a screen") {
    StatusFixture fixture;
    for (std::uint32_t slot = 0; slot < 200; ++slot) {
        WorkerStatus& worker = fixture.add_worker(slot, WorkerState::serving);
        worker.pid = 5000 + slot;
        worker.recent_deaths[0].time_ms = slot < 20 ? StatusFixture::now_ms - 1000 : 0;
        if (slot == 77) worker.stands_still = 1;
        if (slot == 77) worker.heartbeat_ms = StatusFixture::now_ms - 9000;
        if (slot == 199) worker.state = WorkerState::starting;
    }
    const std::string screen = screen_of(fixture, view_of_main(200, 198));
    CHECK(std::ranges::count(screen, '\n') <= 32);
    CHECK(holds(screen, "main/0 "));
    CHECK(holds(screen, "main/77 "));
    CHECK(holds(screen, "main/199 "));
    CHECK(holds(screen, "\nand 188 more that serve\n"));
    CHECK(holds(screen, "\nand deaths in 15 more\n"));
    for (std::size_t slot = 0; slot < 20; ++slot)
        fixture.workers[slot].state = WorkerState::draining;
    CHECK(holds(screen_of(fixture, view_of_main(200, 178)), "\nand 188 more, of which 10 do not serve\n"));
}

TEST_CASE("what \"auto\" came to is shown") {
    StatusFixture fixture;
    ServingView view = view_of_main(2, 2);
    CHECK_FALSE(holds(screen_of(fixture, view), "chosen for this machine"));
    view.automatic = {"pool.main.workers 2", "pool.main.memory_limit 120M"};
    CHECK(holds(screen_of(fixture, view),
                "\nchosen for this machine: pool.main.workers 2, pool.main.memory_limit 120M\n\nPOOL"));
}

TEST_CASE("a screen without workers") {
    const CounterTable empty({.cells = 1, .rows = 1});
    const CounterReader reader(empty.read_only_fd(), empty.row_source());
    const std::string text = status_screen(reader, {}, 0);
    CHECK(holds(text, "starting  pid 0"));
    CHECK(text.ends_with("MEM\n"));
}

TEST_CASE("counters that are 0 are left out unless they are asked for") {
    StatusFixture fixture;
    WorkerStatus& worker = fixture.add_worker(0, WorkerState::serving);
    worker.instance = 7;
    fixture.count(worker, 12'345, 0);
    fixture.publish();
    const std::string accepted = "drover_connections_accepted_total  12345\n";
    const std::string both =
        "drover_connections_accepted_total  12345\ndrover_connections_active              0\n";
    CHECK(counters_text(fixture.reader, "") == accepted);
    CHECK(counters_text(fixture.reader, "connections") == both);
    CHECK(counters_text(fixture.reader, "drover_*_total") == accepted);
    CHECK(counters_text(fixture.reader, "*") == both);
    CHECK(counters_text(fixture.reader, "active") == "drover_connections_active  0\n");
    CHECK(counters_text(fixture.reader, "nothing").empty());
}
