// What Prometheus' own programs make of /metrics. Where they are not installed that passes unseen.
#include "tests/support/installed.h"
#include "tests/support/master_under_test.h"

#include <csignal>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>

namespace drover::test {

namespace {

TestConfig with_observer(const ReservedPort& port) {
    return {.rest = "[observer]\nlisten = \"" + port.address() + "\"\n"};
}

// The value of the one sample that the query finds, as Prometheus writes it; empty: there is none yet, or
// Prometheus does not answer yet.
std::string ask(const ReservedPort& prometheus, const std::string& query) {
    try {
        const HttpReply reply = http_get(prometheus.number(), "/api/v1/query?query=" + query);
        if (reply.status != 200) return "";
        const auto found = nlohmann::json::parse(reply.body).at("data").at("result");
        return found.size() == 1 ? found.at(0).at("value").at(1).get<std::string>() : "";
    } catch (const std::exception&) {
        return "";
    }
}

}  // namespace

TEST_CASE("promtool finds nothing to complain about") {
    if (!installed("promtool")) return;
    const ReservedPort port;
    MasterUnderTest master(with_observer(port));
    CHECK(master.get() == "first");
    const std::string file = master.folder().file("metrics");
    write_file(file, http_get(port.number(), "/metrics").body);
    const UniqueFd input(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    const CommandResult result = run_command({"promtool", "check", "metrics"}, {.input = input.get()});
    CHECK_MESSAGE(result.code() == 0, result.errors);
    CHECK(result.errors == "");
    master.finish();
}

TEST_CASE("a real Prometheus scrapes what clients made") {
    if (!installed("prometheus")) return;
    const ReservedPort port;
    const ReservedPort prometheus_port;
    MasterUnderTest master(with_observer(port));
    for (int i = 0; i < 7; ++i)
        CHECK(master.get() == "first");
    const std::string config = master.folder().file("prometheus.yml");
    write_file(config,
               "global: { scrape_interval: 200ms }\nscrape_configs:\n- job_name: drover\n  static_configs:\n"
               "  - targets: [\"" +
                   port.address() + "\"]\n");
    const std::string log_path = master.folder().file("prometheus.log");
    const UniqueFd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    {
        Child prometheus = Child::start(
            {"prometheus", "--config.file=" + config, "--storage.tsdb.path=" + master.folder().file("tsdb"),
             "--web.listen-address=" + prometheus_port.address(), "--log.level=warn"},
            {.output = log.get(), .errors = log.get()});
        const Deadline deadline(std::chrono::seconds(60));
        std::string requests;
        while (requests.empty() && !deadline.passed())
            requests = ask(prometheus_port, "sum(drover_http_requests_total)");
        CHECK_MESSAGE(requests == "7", read_file(log_path));
        CHECK(ask(prometheus_port, "up") == "1");
        CHECK(ask(prometheus_port, "count(drover_worker_generation)") == "3");
        CHECK(ask(prometheus_port, "drover_generation") == "1");
        prometheus.signal(SIGTERM);
        prometheus.wait_exit(Deadline(std::chrono::seconds(30)));
    }
    master.finish();
}

}  // namespace drover::test
