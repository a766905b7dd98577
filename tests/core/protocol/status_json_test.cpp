#include "core/protocol/status_json.h"

#include "tests/core/protocol/status_fixture.h"

#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

using namespace drover;
using test::StatusFixture;

namespace {

// Without the white space between members, so that a test can say what it expects.
std::string compact_status(StatusFixture& fixture) {
    fixture.publish();
    std::string text;
    bool in_string = false;
    for (const char byte : status_json(fixture.reader, StatusFixture::now_ms)) {
        if (byte == '"' && !text.ends_with('\\')) in_string = !in_string;
        if (in_string || (byte != ' ' && byte != '\n')) text += byte;
    }
    return text;
}

bool holds(const std::string& text, std::string_view piece) {
    CAPTURE(text);
    return text.find(piece) != text.npos;
}

}  // namespace

TEST_CASE("a master without workers") {
    StatusFixture fixture;
    CHECK(compact_status(fixture) ==
          R"({"version":"0.1.0","program":"drover","program_version":"0.1.0","pid":4711,"state":"running",)"
          R"("generation":3,"uptime_s":192,"last_reload":null,"probation_s":null,)"
          R"("workers":[],)"
          R"("counters":{"drover_connections_accepted_total":0,"drover_connections_active":0}})");
}

TEST_CASE("a worker's own row comes before its last report") {
    StatusFixture fixture;
    WorkerStatus& worker = fixture.add_worker(1, WorkerState::serving);
    worker.pid = 4712;
    worker.instance = 77;
    worker.restarts = 2;
    worker.started_ms = StatusFixture::now_ms - 61'250;
    worker.heartbeat_ms = StatusFixture::now_ms - 400;
    worker.connections = 1;
    worker.accepted = 2;
    worker.loop_lag_us = 5;
    worker.cpu_us = 6;
    worker.resident_bytes = 7;
    worker.dropped_reports = 8;
    fixture.count(worker, 1000, 12);
    CHECK(holds(compact_status(fixture),
                R"("workers":[{"pool":"main","slot":1,"pid":4712,"generation":3,"state":"serving",)"
                R"("connections":12,"accepted":1000,"restarts":2,"age_s":61.25,"heartbeat_age_s":0.4,)"
                R"("next_attempt_s":null,"drain_left_s":null,"deaths":0,"recent_deaths":[],)"
                R"("loop_lag_us":5,"cpu_us":6,"resident_bytes":7,"dropped_reports":8,"silent_s":null}])"));
    fixture.workers[0].stands_still = 1;
    CHECK(holds(compact_status(fixture), R"("dropped_reports":8,"silent_s":0.4}])"));
}

TEST_CASE("without a row the last report counts; without a process ages are null") {
    StatusFixture fixture;
    WorkerStatus& reported = fixture.add_worker(0, WorkerState::draining);
    reported.pid = 4713;
    reported.instance = 78;
    reported.connections = 3;
    reported.accepted = 4;
    WorkerStatus& waiting = fixture.add_worker(1, WorkerState::backing_off);
    waiting.next_attempt_ms = StatusFixture::now_ms + 1500;
    const std::string text = compact_status(fixture);
    CHECK(holds(text, R"("state":"draining","connections":3,"accepted":4,)"));
    CHECK(holds(text,
                R"("pid":0,"generation":3,"state":"backing_off","connections":0,"accepted":0,"restarts":0,)"
                R"("age_s":null,"heartbeat_age_s":null,"next_attempt_s":1.5,)"));
}

TEST_CASE("what is left of a probation and of a drain, and how workers of the slot have died") {
    StatusFixture fixture;
    fixture.master.probation_until_ms = StatusFixture::now_ms + 2500;
    WorkerStatus& worker = fixture.add_worker(0, WorkerState::draining);
    worker.leaves_by_ms = StatusFixture::now_ms + 4000;
    worker.deaths = 2;
    worker.recent_deaths[0].time_ms = StatusFixture::now_ms - 1500;
    StatusFixture::set_text(worker.recent_deaths[0].reason, "killed by signal 9");
    worker.recent_deaths[1].time_ms = StatusFixture::now_ms - 3000;
    StatusFixture::set_text(worker.recent_deaths[1].reason, "exited with code 1");
    WorkerStatus& given_up = fixture.add_worker(1, WorkerState::backing_off);
    given_up.next_attempt_ms = 0;
    const std::string text = compact_status(fixture);
    CHECK(holds(text, R"("probation_s":2.5,)"));
    CHECK(holds(
        text, R"("next_attempt_s":null,"drain_left_s":4,"deaths":2,"recent_deaths":[)"
              R"({"reason":"killed by signal 9","age_s":1.5},{"reason":"exited with code 1","age_s":3}],)"));
    CHECK(holds(text, R"("state":"backing_off","connections":0,"accepted":0,"restarts":0,)"
                      R"("age_s":null,"heartbeat_age_s":null,"next_attempt_s":null,)"));
}

TEST_CASE("counters are totals of dead and living, gauges of the living, and signed") {
    StatusFixture fixture;
    WorkerStatus& first = fixture.add_worker(0, WorkerState::serving);
    first.instance = 1;
    fixture.count(first, 40, 4);
    fixture.table.fold(0);
    WorkerStatus& second = fixture.add_worker(1, WorkerState::serving);
    second.instance = 2;
    fixture.count(second, 2, -1);
    const std::string text = compact_status(fixture);
    CHECK(
        holds(text, R"("counters":{"drover_connections_accepted_total":42,"drover_connections_active":-1})"));
    CHECK(holds(text, R"("connections":0,"accepted":2,)"));
}

TEST_CASE("the last reload, with its error as one string") {
    StatusFixture fixture;
    fixture.master.last_reload = ReloadResult::ok;
    fixture.master.last_reload_generation = 3;
    CHECK(holds(compact_status(fixture), R"("last_reload":{"result":"ok","generation":3,"error":null},)"));
    fixture.master.last_reload = ReloadResult::refused;
    fixture.master.last_reload_generation = 4;
    StatusFixture::set_text(fixture.master.last_reload_error, "a.toml:1:2: \"x\"\nmore");
    CHECK(holds(compact_status(fixture), R"("last_reload":{"result":"refused","generation":4,)"
                                         R"("error":"a.toml:1:2: \"x\"\nmore"},)"));
    fixture.master.last_reload = ReloadResult::rolled_back;
    CHECK(holds(compact_status(fixture), R"("result":"rolled_back")"));
}

TEST_CASE("a clock that was read before the page makes nothing negative") {
    StatusFixture fixture;
    fixture.master.started_ms = StatusFixture::now_ms + 5;
    WorkerStatus& worker = fixture.add_worker(0, WorkerState::starting);
    worker.pid = 1;
    worker.started_ms = StatusFixture::now_ms + 5;
    const std::string text = compact_status(fixture);
    CHECK(holds(text, R"("uptime_s":0,)"));
    CHECK(holds(text, R"("age_s":0,)"));
}

TEST_CASE("no key is there twice while two declarations of one name are") {
    StatusFixture fixture;
    fixture.table.declare(4, std::vector<CounterDeclaration>{
                                 {.name = "drover_connections_active", .kind = CounterKind::counter}});
    const std::string text = compact_status(fixture);
    const std::size_t first = text.find("\"drover_connections_active\":");
    CHECK(first != std::string::npos);
    CHECK(text.find("\"drover_connections_active\":", first + 1) == std::string::npos);
}
