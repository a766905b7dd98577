#include "conf/counters.h"

#include "conf/settings.h"
#include "core/counters/histogram.h"
#include "tests/conf/toy_modules.h"

#include <algorithm>
#include <stdexcept>

#include <doctest/doctest.h>

using namespace drover;

namespace {

// A module that counts by route, and one that says nothing of its options.
std::vector<ModuleDeclaration> modules_by_route(HistogramBounds bounds = {1, 1000}) {
    std::vector<ModuleDeclaration> modules = toy::modules();
    modules[0].counters_of = [bounds](const ImageNode& options) {
        std::vector<CounterDeclaration> counters;
        const toy::Http http = toy::Http::options().load(options);
        for (const toy::Route& route : http.routes) {
            if (route.path == "/throws") throw std::runtime_error("a route that cannot be counted");
            counters.push_back(
                {.name = "route_requests_total", .labels = {{"route", std::string(route.path)}}});
            counters.push_back({.name = "route_time_seconds",
                                .kind = CounterKind::histogram,
                                .unit = "seconds",
                                .help = "Time.",
                                .labels = {{"route", std::string(route.path)}},
                                .bounds = bounds,
                                .per_unit = 1000});
        }
        return counters;
    };
    return modules;
}

std::string with_routes(const std::vector<std::string>& paths, const std::string& more = "") {
    std::string text = more + "[pool.a]\nmodules = ['http']\n";
    for (const std::string& path : paths)
        text += "[[module.http.route]]\npath = '" + path + "'\n";
    return text;
}

CheckedConfiguration check(const std::string& text, const std::vector<ModuleDeclaration>& modules) {
    return check_document(parse_toml(text, "/f"), modules, nullptr);
}

std::vector<CounterDeclaration> counters_of(const CheckedConfiguration& checked) {
    REQUIRE(checked.findings.empty());
    return declared_counters(Image::view(checked.image));
}

std::vector<CounterDeclaration> owned_by(const std::vector<CounterDeclaration>& all, const char* owner) {
    std::vector<CounterDeclaration> owned;
    std::ranges::copy_if(all, std::back_inserter(owned), [&](const auto& one) { return one.owner == owner; });
    return owned;
}

}  // namespace

TEST_CASE("counters: core's, then the used modules'; alike ones are merged") {
    const auto counters = counters_of(check("[pool.a]\nmodules = ['echo', 'http']\n", toy::modules()));
    CHECK(counters.front().name == "drover_connections_accepted_total");
    CHECK(owned_by(counters, "core").size() + 2 == counters.size());
    CHECK(owned_by(counters, "module.http").size() == 2);
    CHECK(counters.back().name == "toy_shared");
    CHECK(counters.back().kind == CounterKind::gauge);
    CHECK(counters.back().unit == "things");
    CHECK(owned_by(counters_of(check("[pool.a]\n", toy::modules())), "module.http").empty());
}

TEST_CASE("counters: what is wrong with one is said with its name and its owner's") {
    std::vector<ModuleDeclaration> modules = toy::modules();
    modules[1].counters = {{"toy_shared", CounterKind::gauge, "things", "Another."},
                           {"1bad", CounterKind::counter, "", ""},
                           {"help_is_long", CounterKind::counter, "", std::string(144, 'x')},
                           {"unit_is_long", CounterKind::counter, "0123456789abcdef", ""}};
    CHECK(check("[pool.a]\nmodules = ['echo', 'http']\n", modules).findings ==
          std::vector<std::string>{
              "/f: module.echo: gauge \"toy_shared\": it is declared elsewhere with another kind, unit, help "
              "or labels",
              "/f: module.echo: counter \"1bad\": its name is not 1 to 95 letters, digits and '_', beginning "
              "with no digit",
              "/f: module.echo: counter \"help_is_long\": its help is not one line of at most 143 bytes",
              "/f: module.echo: counter \"unit_is_long\": its unit has more than 15 bytes"});
    CHECK(check(with_routes({"/a", "/throws"}), modules_by_route()).findings ==
          std::vector<std::string>{"/f: module.http: its counters: a route that cannot be counted"});
}

TEST_CASE("counters: what readers of OpenMetrics would not understand is refused") {
    std::vector<ModuleDeclaration> modules = toy::modules();
    modules[1].counters = {{"toy_jobs", CounterKind::counter, "", "Jobs."},
                           {"toy_size_total", CounterKind::gauge, "", "Size."},
                           {"toy_runs_total", CounterKind::counter, "", "Runs."},
                           {"toy_runs", CounterKind::gauge, "", "Runs now."},
                           {"drover_workers", CounterKind::gauge, "", "Workers."},
                           {"toy_time_count", CounterKind::gauge, "", "Times."},
                           {"toy_time", CounterKind::histogram, "", "Time.", {}, {1, 1000}}};
    const auto findings = check("[pool.a]\nmodules = ['echo', 'http']\n", modules).findings;
    REQUIRE(findings.size() == 5);
    const std::string by = "/f: module.echo: ";
    CHECK(findings[0] ==
          by + R"(counter "toy_jobs": a counter's name ends with _total, such as "toy_jobs_total")");
    CHECK(findings[1] == by + R"(gauge "toy_size_total": only a counter's name ends with _total)");
    CHECK(findings[2] == by + R"(gauge "toy_runs": its series toy_runs would be one of toy_runs_total, too)");
    CHECK(findings[3] ==
          by + R"(gauge "drover_workers": its series drover_workers would be one of the observer, too)");
    CHECK(findings[4] ==
          by + R"(histogram "toy_time": its series toy_time_count would be one of toy_time_count, too)");
}

TEST_CASE("counters: a module's may depend on its options, and come out of the image as they went in") {
    const auto counters =
        owned_by(counters_of(check(with_routes({"/a", "/b", "/a"}), modules_by_route())), "module.http");
    REQUIRE(counters.size() == 4);
    CHECK(counters[0].labels == std::vector<CounterLabel>{{"route", "/a"}});
    CHECK(counters[2].labels == std::vector<CounterLabel>{{"route", "/b"}});
    CHECK(counters[3].kind == CounterKind::histogram);
    CHECK(counters[3].bounds == HistogramBounds{1, 1000});
    CHECK(counters[3].per_unit == 1000);
    CHECK(counters[3].help == "Time.");
    CHECK(counters[3].unit == "seconds");
}

TEST_CASE("counters: core's have labels for each listener, and gauges of each worker") {
    const auto counters =
        counters_of(check("[pool.a]\nmodules = ['http']\n"
                          "listen = [{ address = '127.0.0.1:80', module = 'http' },\n"
                          "{ address = 'unix:@x', module = 'http' }]\n",
                          toy::modules()));
    const auto listener =
        std::ranges::find(counters, "drover_listener_queue_connections", &CounterDeclaration::name);
    REQUIRE(listener != counters.end());
    CHECK(listener->labels == listener_labels({"a", "127.0.0.1:80"}));
    CHECK(std::ranges::count(counters, listener->name, &CounterDeclaration::name) == 2);
    CHECK(std::ranges::count(counters, "drover_listener_drops_total", &CounterDeclaration::name) == 1);
    const auto memory =
        std::ranges::find(counters, "drover_worker_resident_bytes", &CounterDeclaration::name);
    REQUIRE(memory != counters.end());
    CHECK(memory->scope == CounterScope::worker);
    for (const CounterDeclaration& counter : core_counters({{"a", std::string(1000, 'x')}})) {
        CAPTURE(counter.name);
        CHECK(declaration_fault(counter).empty());
        const bool total = counter.name.ends_with("_total");
        CHECK(total == (counter.kind == CounterKind::counter));
    }
}

TEST_CASE("counters: more than there is room for is an error that says who asks and who has") {
    const std::string small = "[master]\ncounters = 512\n";
    const auto modules = modules_by_route({1, 1'000'000});
    CHECK(check(with_routes({"/a", "/b"}, small), modules).findings.empty());
    const std::vector<std::string> findings =
        check(with_routes({"/a", "/b", "/c", "/d"}, small), modules).findings;
    REQUIRE(findings.size() == 1);
    CAPTURE(findings[0]);
    const std::uint32_t each = HistogramScale({1, 1'000'000}).cells();
    CHECK(findings[0].starts_with(
        "/f: module.http: histogram \"route_time_seconds{route=\\\"/d\\\"}\": no room for it: it takes " +
        std::to_string(each) + " of 512 cells (master.counters), and core has "));
    CHECK(findings[0].ends_with(", module.http has " + std::to_string(3 * each + 4)));
}

TEST_CASE("counters: labels that come and go need no new workers, all other changes do") {
    const auto change = [](const std::string& before, const std::vector<ModuleDeclaration>& running,
                           const std::string& after, const std::vector<ModuleDeclaration>& next) {
        const CheckedConfiguration old_one = check(before, running);
        const CheckedConfiguration new_one = check(after, next);
        REQUIRE(old_one.findings.empty());
        REQUIRE(new_one.findings.empty());
        return compare(Image::view(old_one.image), Image::view(new_one.image));
    };
    const auto by_route = modules_by_route();
    const Difference routes =
        change(with_routes({"/a", "/b"}), by_route, with_routes({"/b", "/c"}), by_route);
    CHECK(routes.change == Change::hot);
    for (const std::string& line : routes.lines)
        CHECK_FALSE(line.starts_with("counters"));
    // The same file with another program.
    const Difference bounds =
        change(with_routes({"/a"}), by_route, with_routes({"/a"}), modules_by_route({1, 2000}));
    CHECK(bounds.change == Change::fresh);
    CHECK(bounds.lines == std::vector<std::string>{"counters: 1 added, 1 retired (fresh)"});
    auto more = by_route;
    more[0].counters_of = nullptr;
    const Difference plain = change(with_routes({"/a"}), by_route, with_routes({"/a"}), more);
    CHECK(plain.change == Change::fresh);
    CHECK(plain.lines == std::vector<std::string>{"counters: 2 added, 2 retired (fresh)"});
    CHECK(change(with_routes({"/a"}), by_route, with_routes({"/a"}), by_route).change == Change::none);
    // The table is made once.
    CHECK(change(with_routes({}), by_route, with_routes({}, "[master]\ncounters = 600\n"), by_route)
              .restart_keys == std::vector<std::string>{"master.counters"});
}
