#include "modules/observer/live_message.h"

#include "core/counters/counter_difference.h"
#include "core/counters/counter_table.h"
#include "tests/support/observed.h"

#include <algorithm>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

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
        return {table.read_only_fd(), table.row_fd(row.value()), row.value(), instance};
    }
    std::string make() {
        table.status().write(master, workers);
        return message.make({.now_ms = 5000, .unix_ms = 1'700'000'000'000, .answers = answers});
    }

    CounterTable table;
    CounterReader reader{table.read_only_fd(), table.row_source()};
    MasterStatus master;
    std::vector<WorkerStatus> workers;
    LiveMessage message{reader, "observer"};
    bool answers = true;
};

// What reloads declare for these routes.
std::vector<CounterDeclaration> counters_of(const std::vector<std::string>& routes) {
    std::vector<CounterDeclaration> declarations;
    for (const std::string& route : routes) {
        declarations.push_back({.name = "drover_http_requests_total", .labels = {{"route", route}}});
        declarations.push_back({.name = "drover_http_request_seconds",
                                .kind = CounterKind::histogram,
                                .labels = {{"route", route}},
                                .bounds = {.min = 1, .max = 60'000'000},
                                .per_unit = 1'000'000});
    }
    return declarations;
}

void count(const CounterRow& row, const std::string& route, std::uint64_t requests, std::uint64_t us) {
    row.counter("drover_http_requests_total", {{"route", route}}).add(requests);
    Histogram times =
        row.histogram("drover_http_request_seconds", {.min = 1, .max = 60'000'000}, {{"route", route}});
    for (std::uint64_t i = 0; i < requests; ++i)
        times.observe(us);
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("latencies are those of what was counted in between, all routes together") {
    using Sums = std::vector<CounterReader::Sum>;
    const auto taken = [](const Sums& before, const Sums& now) {
        return latency_of(counted_between(before, now));
    };
    const Sums before{latency("/a", {5000, 5000}), latency("/b", {7000})};
    CHECK_FALSE(taken(before, before).has_value());
    const auto found =
        taken(before, {latency("/a", {5000, 5000, 1000}), latency("/b", {7000, 1000, 90'000})});
    REQUIRE(found.has_value());
    CHECK(found->p50_ms == doctest::Approx(1).epsilon(0.07));
    CHECK(found->p99_ms == doctest::Approx(90).epsilon(0.07));
    // A route that is gone takes nothing back, and one that comes brings nothing.
    CHECK_FALSE(taken(before, {latency("/b", {7000})}).has_value());
    CHECK_FALSE(taken({latency("/b", {7000})}, before).has_value());
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

TEST_CASE("a route that comes back with its old total was not asked for all at once") {
    Fixture fixture;
    double before = 0;
    const auto grown = [&](const nlohmann::json& message) {
        const double now = message.at("totals").at("requests").get<double>();
        return now - std::exchange(before, now);
    };
    const auto message = [&] { return nlohmann::json::parse(fixture.make()); };
    fixture.table.declare(2, counters_of({"/a", "/c"}));
    const CounterRow row = fixture.add("main", 1);
    count(row, "/a", 10, 1000);
    count(row, "/c", 5000, 90'000);
    CHECK(grown(message()) == 5010);
    count(row, "/a", 2, 1000);
    count(row, "/c", 1, 1000);
    CHECK(grown(message()) == 3);
    fixture.table.declare(3, counters_of({"/a"}));
    fixture.table.forget(2);
    count(row, "/a", 4, 1000);
    CHECK(grown(message()) == 4);
    fixture.table.declare(4, counters_of({"/a", "/c"}));
    count(row, "/a", 6, 1000);
    const nlohmann::json rolled_back = message();
    CHECK(grown(rolled_back) == 6);
    CHECK(rolled_back.at("latency").at("p99_ms").get<double>() == doctest::Approx(1).epsilon(0.07));
    count(row, "/c", 7, 1000);
    CHECK(grown(message()) == 7);
}

TEST_CASE("a worker that is not heard of is told, with its time, while the master answers") {
    Fixture fixture;
    const auto silent = [&] {
        return nlohmann::json::parse(fixture.make()).at("workers").at(0).at("silent_s");
    };
    const CounterRow row = fixture.add("main", 1);
    WorkerStatus& worker = fixture.workers.front();
    worker.report_interval_ms = 500;
    CHECK(silent().is_null());
    worker.heartbeat_ms = 5000 - 1500;
    CHECK(silent().is_null());
    worker.heartbeat_ms = 5000 - 1501;
    CHECK(silent() == 1.501);
    fixture.answers = false;
    CHECK(silent().is_null());
    fixture.answers = true;
    worker.heartbeat_ms = 5000 - 200;
    worker.stands_still = 1;
    CHECK(silent() == 0.2);
}
