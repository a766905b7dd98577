#include "master/status_text.h"

#include "tests/worker/status_fixture.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover;
using test::StatusFixture;

namespace {

std::string table_of(StatusFixture& fixture) {
    fixture.publish();
    return status_table(fixture.reader, StatusFixture::now_ms);
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

TEST_CASE("the whole table") {
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
    CHECK(table_of(fixture) ==
          "drover 0.1.0  running  pid 4711  generation 3  up 3m 12s\n"
          "last reload: none yet\n"
          "\n"
          "POOL  SLOT   PID  GEN  STATE                 CONNS  ACCEPTED  RESTARTS     AGE  HEARTBEAT   CPU   "
          "   MEM\n"
          "main     0  4712    3  serving                   6     12345         0  3m 10s       0.4s  1.2s  "
          "2.1 MiB\n"
          "main    10     -    3  backing_off, in 1.5s      0         0         3       -          -     -   "
          "     -\n"
          "\n"
          "drover_connections_accepted_total  12345\n"
          "drover_connections_active              6\n");
}

TEST_CASE("the last reload") {
    StatusFixture fixture;
    fixture.master.last_reload = ReloadResult::ok;
    fixture.master.last_reload_generation = 3;
    CHECK(holds(table_of(fixture), "\nlast reload: ok, generation 3\n"));
    fixture.master.last_reload = ReloadResult::refused;
    StatusFixture::set_text(fixture.master.last_reload_error, "a.toml:1:1: one\na.toml:2:1: \x1b[31mtwo\n");
    CHECK(holds(table_of(fixture),
                "\nlast reload: refused\n  a.toml:1:1: one\n  a.toml:2:1: \\x1b[31mtwo\n\nPOOL"));
    fixture.master.last_reload = ReloadResult::rolled_back;
    CHECK(holds(table_of(fixture), "\nlast reload: rolled back\n  a.toml"));
}

TEST_CASE("a table without workers or counters") {
    const CounterTable empty({.cells = 1, .rows = 1});
    const CounterReader reader(empty.read_only_fd(), empty.row_source());
    const std::string text = status_table(reader, 0);
    CHECK(holds(text, "starting  pid 0"));
    CHECK(text.ends_with("MEM\n"));
}
