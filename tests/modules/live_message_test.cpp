#include "modules/observer/live_message.h"

#include "core/counter_table.h"
#include "tests/support/observed.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::observer;

namespace {

CounterReader::Sum latency(const std::string& route, const std::vector<std::uint64_t>& microseconds) {
    return test::observed({.name = "drover_http_request_seconds",
                           .labels = {{"route", route}},
                           .bounds = {.min = 1, .max = 60'000'000},
                           .per_unit = 1'000'000},
                          microseconds);
}

struct Fixture {
    Fixture() {
        table.declare(1, std::vector<CounterDeclaration>{
                             {.name = "drover_connections_accepted_total"},
                             {.name = "drover_connections_active", .kind = CounterKind::gauge},
                             {.name = "drover_worker_busy_ratio",
                              .kind = CounterKind::gauge,
                              .per_unit = 1000,
                              .scope = CounterScope::worker}});
        master.pid = 4711;
        master.state = MasterState::running;
        master.generation = 1;
        master.started_ms = 1000;
    }
    CounterRow add(const std::string& pool, std::uint64_t instance) {
        WorkerStatus& worker = workers.emplace_back();
        pool.copy(worker.pool, sizeof(worker.pool) - 1);
        worker.instance = instance;
        worker.pid = static_cast<std::uint32_t>(100 + instance);
        worker.generation = 1;
        worker.state = WorkerState::serving;
        worker.started_ms = 2000;
        worker.resident_bytes = 1000;
        const auto row = table.take_row({.instance = instance, .generation = 1, .pool = pool, .slot = 0});
        return {table.read_only_fd(), table.fd(), row.value(), instance};
    }
    std::string make() {
        table.status().write(master, workers);
        return message.make(5000, 1'700'000'000'000, true);
    }

    CounterTable table;
    CounterReader reader{table.read_only_fd()};
    MasterStatus master;
    std::vector<WorkerStatus> workers;
    LiveMessage message{reader, "observer"};
};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("latencies are those of what came since the last look, all routes together") {
    LatencyMeter meter;
    CHECK_FALSE(meter.take({latency("/a", {5000, 5000})}).has_value());  // since when is not known
    CHECK_FALSE(meter.take({latency("/a", {5000, 5000})}).has_value());
    const auto taken = meter.take({latency("/a", {5000, 5000, 1000}), latency("/b", {1000, 90'000})});
    REQUIRE(taken.has_value());
    CHECK(taken->p50_ms == doctest::Approx(1).epsilon(0.07));
    CHECK(taken->p99_ms == doctest::Approx(90).epsilon(0.07));
    // A route that is gone takes nothing back.
    CHECK_FALSE(meter.take({latency("/b", {1000, 90'000})}).has_value());
}

TEST_CASE("a message is one line of what the table says") {
    Fixture fixture;
    const CounterRow worker = fixture.add("main", 1);
    worker.counter("drover_connections_accepted_total").add(7);
    worker.gauge("drover_connections_active").set(2);
    worker.gauge("drover_worker_busy_ratio").set(250);
    const CounterRow own = fixture.add("observer", 2);
    own.gauge("drover_connections_active").set(5);
    const std::string text = fixture.make();
    CHECK_FALSE(has(text, "\n"));
    CHECK(has(text, "\"time_ms\":1700000000000,\"now_ms\":5000,\"answers\":true"));
    CHECK(has(text, "\"state\":\"running\",\"generation\":1,\"uptime_s\":4,\"last_reload\":null"));
    CHECK(has(text,
              "{\"pool\":\"main\",\"slot\":0,\"pid\":101,\"generation\":1,\"state\":\"serving\","
              "\"connections\":2,\"accepted\":7,"));
    CHECK(has(text, "\"busy\":0.25"));
    CHECK(has(text, "\"pool\":\"observer\""));
    // The observer's own connections and memory are not the service's; what nobody counts is null.
    CHECK(has(text,
              "\"connections\":2,\"resident_bytes\":1000,\"requests\":null,\"errors\":null,"
              "\"accepted\":7,"));
    CHECK(has(text, "\"latency\":null"));
}

TEST_CASE("a message names so many workers and no more") {
    Fixture fixture;
    for (std::uint64_t i = 1; i <= LiveMessage::most_workers + 3; ++i)
        fixture.add("main", i);
    const std::string text = fixture.make();
    std::size_t count = 0;
    for (std::size_t at = text.find("\"pool\":"); at != std::string::npos;
         at = text.find("\"pool\":", at + 1))
        ++count;
    CHECK(count == LiveMessage::most_workers);
    CHECK(has(text, "\"more_workers\":3"));
    CHECK(text.size() < std::size_t{200} * 1024);
    CHECK(has(text, "\"resident_bytes\":" + std::to_string(1000 * (LiveMessage::most_workers + 3))));
}

TEST_CASE("a reload that went wrong is told with its reason") {
    Fixture fixture;
    fixture.master.last_reload = ReloadResult::refused;
    fixture.master.last_reload_generation = 2;
    std::string_view("a \"reason\"").copy(fixture.master.last_reload_error, 100);
    CHECK(has(fixture.make(),
              "\"last_reload\":{\"result\":\"refused\",\"generation\":2,\"error\":\"a \\\"reason\\\"\"}"));
}
