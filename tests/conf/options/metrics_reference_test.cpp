#include "conf/options/metrics_reference.h"

#include <sstream>
#include <string>

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("metrics: each family once, with its labels, its unit and whose it is") {
    ModuleDeclaration module{.name = "toy"};
    const auto labelled = [](const char* code) {
        return CounterDeclaration{.name = "toy_total",
                                  .unit = "toys",
                                  .help = "Toys.",
                                  .labels = {{"route", "ROUTE"}, {"code", code}}};
    };
    module.counters = {labelled("2xx"),
                       {.name = "toy_seconds",
                        .kind = CounterKind::histogram,
                        .unit = "seconds",
                        .help = "Time.",
                        .bounds = {10, 60'000'000},
                        .per_unit = 1'000'000},
                       labelled("4xx"),
                       {.name = "toy_temperature",
                        .kind = CounterKind::gauge,
                        .help = "Heat.",
                        .scope = CounterScope::worker}};
    const std::string page = metrics_reference({&module, 1});
    CHECK(page.starts_with("## Metrics\n\n### Core\n\n- `drover_connections_accepted_total`: counter, "));
    CHECK(
        page.ends_with("### Module toy\n\n"
                       "- `toy_total{route, code}`: counter, toys. Toys. `route`: ROUTE. `code`: 2xx, 4xx.\n"
                       "- `toy_seconds`: histogram, seconds. Time. From 1e-05 to 60.\n"
                       "- `toy_temperature`: gauge, of each worker. Heat.\n"));
    std::istringstream lines(page);
    for (std::string line; std::getline(lines, line);)
        CHECK(line.size() <= 110);
}
