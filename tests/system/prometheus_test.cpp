// What Prometheus' own programs make of /metrics. Where they are not installed that passes unseen.
#include "tests/support/master_under_test.h"
#include "tests/support/skipped.h"

#include <csignal>
#include <sstream>
#include <stdexcept>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>

namespace drover::test {

namespace {

TestConfig with_observer(const ReservedPort& port, const std::string& more = "") {
    return {.rest = "[observer]\nlisten = \"" + port.address() + "\"\n" + more};
}

// With all kinds of figures: udp listeners, histograms of routes whose names must be escaped.
TestConfig with_everything(const ReservedPort& port, const ReservedPort& udp) {
    return with_observer(port,
                         "[pool.datagrams]\nworkers = 1\nmodules = [\"echo\"]\n"
                         "[[pool.datagrams.listen]]\naddress = \"udp:" +
                             udp.address() +
                             "\"\nmodule = \"echo\"\n"
                             "[[module.http.route]]\npath = \"/named\"\nname = 'a \"b\" \\c'\n"
                             "return = { body = \"x\" }\n");
}

HttpReply get_open_metrics(const ReservedPort& port) {
    HttpClient client(port.number());
    client.stream().send(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n");
    return client.read_reply();
}

CommandResult check_with_promtool(const MasterUnderTest& master, const std::string& text) {
    const std::string file = master.folder().file("metrics");
    write_file(file, text);
    const UniqueFd input(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    return run_command({"promtool", "check", "metrics"}, {.input = input.get()});
}

std::string url_encoded(const std::string& text) {
    std::string encoded;
    for (const char c : text) {
        constexpr const char* digits = "0123456789ABCDEF";
        const auto byte = static_cast<unsigned char>(c);
        encoded += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return encoded;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
}

// What conf/grafana.json asks, with values for the variables that Grafana would put in.
std::vector<std::string> grafana_queries() {
    std::vector<std::string> queries;
    const auto collect = [&queries](const auto& self, const nlohmann::json& part) -> void {
        for (const auto& [key, value] : part.items()) {
            if (key == "expr") queries.push_back(value.template get<std::string>());
            if (value.is_structured()) self(self, value);
        }
    };
    collect(collect, nlohmann::json::parse(read_file(std::string(DROVER_SOURCE_DIR) + "/conf/grafana.json")));
    for (std::string& query : queries) {
        replace_all(query, "$job", ".*");
        replace_all(query, "$instance", ".*");
        replace_all(query, "$__rate_interval", "1m");
    }
    return queries;
}

// What the query finds; throws when Prometheus refuses it.
nlohmann::json result_of(const ReservedPort& prometheus, const std::string& query) {
    const HttpReply reply = http_get(prometheus.number(), "/api/v1/query?query=" + url_encoded(query));
    if (reply.status != 200) throw std::runtime_error(query + ": " + reply.body);
    return nlohmann::json::parse(reply.body).at("data").at("result");
}

// The value of the one sample that the query finds, as Prometheus writes it; empty: there is none yet, or
// Prometheus does not answer yet.
std::string ask(const ReservedPort& prometheus, const std::string& query) {
    try {
        const nlohmann::json found = result_of(prometheus, query);
        return found.size() == 1 ? found.at(0).at("value").at(1).get<std::string>() : "";
    } catch (const std::exception&) {
        return "";
    }
}

// A Prometheus that looks five times a second.
struct Scraper {
    Scraper(const MasterUnderTest& master, const ReservedPort& target)
        : log_path(master.folder().file("prometheus.log")) {
        const std::string config = master.folder().file("prometheus.yml");
        write_file(config,
                   "global: { scrape_interval: 200ms }\nscrape_configs:\n- job_name: drover\n"
                   "  static_configs:\n  - targets: [\"" +
                       target.address() + "\"]\n");
        const UniqueFd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        child = Child::start(
            {"prometheus", "--config.file=" + config, "--storage.tsdb.path=" + master.folder().file("tsdb"),
             "--web.listen-address=" + port.address(), "--log.level=warn"},
            {.output = log.get(), .errors = log.get()});
    }
    std::string wait_for(const std::string& query) const {
        std::string found;
        while (found.empty() && !deadline.passed())
            found = ask(port, query);
        return found;
    }
    void stop() {
        child.signal(SIGTERM);
        child.wait_exit(Deadline(std::chrono::seconds(30)));
    }

    ReservedPort port;
    std::string log_path;
    Child child;
    Deadline deadline{std::chrono::seconds(60)};
};

}  // namespace

TEST_CASE("promtool finds nothing to complain about") {
    if (lacks_program("promtool")) return;
    const ReservedPort port;
    const ReservedPort udp;
    MasterUnderTest master(with_everything(port, udp));
    CHECK(master.get() == "first");
    CHECK(master.get("/named") == "x");
    const CommandResult result = check_with_promtool(master, http_get(port.number(), "/metrics").body);
    CHECK_MESSAGE(result.code() == 0, result.errors);
    CHECK(result.errors == "");
    master.finish();
}

// prometheus_client's reader refuses what the format does not allow: names, suffixes, orders, ends, escapes.
TEST_CASE("a strict reader takes the OpenMetrics") {
    const std::string python = "/usr/bin/python3";  // the system's, which has Debian's packages
    if (lacks_program("python3")) return;
    const bool has_client = run_command({python, "-c", "import prometheus_client"}).code() == 0;
    if (lacks(has_client, "python3-prometheus-client")) return;
    const ReservedPort port;
    const ReservedPort udp;
    MasterUnderTest master(with_everything(port, udp));
    CHECK(master.get() == "first");
    CHECK(master.get("/named") == "x");
    const std::string file = master.folder().file("metrics");
    const auto read = [&](const std::string& text) {
        write_file(file, text);
        return run_command(
            {python, "-c",
             "import sys\n"
             "from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n"
             "for family in parse(open(sys.argv[1]).read()):\n"
             "    for sample in family.samples:\n"
             "        print(family.type, sample.name, sample.labels.get('route', ''), sample.value)\n",
             file});
    };
    const std::string text = get_open_metrics(port).body;
    const CommandResult result = read(text);
    CHECK_MESSAGE(result.code() == 0, result.errors);
    for (const std::string line :
         {"counter drover_http_requests_total / 1\n", "counter drover_http_requests_total a \"b\" \\c 1\n",
          "histogram drover_http_request_seconds_count / 1\n", "gauge drover_generation  1\n",
          "gauge drover_listener_queue_bytes ", "counter drover_datagrams_received_total "}) {
        CHECK_MESSAGE(result.output.find(line) != std::string::npos, line);
    }
    // It would say so.
    std::string broken = text;
    replace_all(broken, "drover_http_requests_total{", "drover_http_requests{");
    CHECK(read(broken).code() != 0);
    master.finish();
}

TEST_CASE("every family of a scrape is in the reference") {
    const ReservedPort port;
    const ReservedPort udp;
    MasterUnderTest master(with_everything(port, udp));
    const std::string page = read_file(std::string(DROVER_SOURCE_DIR) + "/docs/observability.md");
    std::istringstream lines(http_get(port.number(), "/metrics").body);
    const std::string mark = "# TYPE ";
    int families = 0;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(mark)) continue;
        const std::string name = line.substr(mark.size(), line.find(' ', mark.size()) - mark.size());
        const std::string kind = line.substr(mark.size() + name.size() + 1);
        const std::size_t plain = page.find("\n- `" + name + "`: " + kind);
        const std::size_t labelled = page.find("\n- `" + name + "{");
        CHECK_MESSAGE((plain != std::string::npos || labelled != std::string::npos), name);
        ++families;
    }
    CHECK(families > 35);
    master.finish();
}

TEST_CASE("a real Prometheus scrapes what clients made, and answers all that the Grafana dashboard asks") {
    if (lacks_program("prometheus")) return;
    const ReservedPort port;
    TestConfig config = with_observer(port);
    MasterUnderTest master(config);
    for (int i = 0; i < 7; ++i)
        CHECK(master.get() == "first");
    {
        Scraper scraper(master, port);
        const ReservedPort& prometheus = scraper.port;
        CHECK_MESSAGE(scraper.wait_for("sum(drover_http_requests_total)") == "7",
                      read_file(scraper.log_path));
        CHECK(ask(prometheus, "up") == "1");
        CHECK(ask(prometheus, "count(drover_worker_generation)") == "3");
        CHECK(ask(prometheus, "drover_generation") == "1");
        CHECK(ask(prometheus, "sum(drover_workers{state=\"serving\"})") == "3");
        CHECK(ask(prometheus, "drover_master_state == 1") == "1");

        config.body = "second";
        master.write_config(config);
        REQUIRE(master.control("reload").ok);
        CHECK(scraper.wait_for("drover_generation == 2") == "2");
        const std::vector<std::string> queries = grafana_queries();
        CHECK(queries.size() > 30);
        for (const std::string& query : queries) {
            CAPTURE(query);
            CHECK(query.find('$') == std::string::npos);
            nlohmann::json found = result_of(prometheus, query);
            while (found.empty() && !scraper.deadline.passed())
                found = result_of(prometheus, query);
            CHECK_FALSE(found.empty());
        }
        scraper.stop();
    }
    master.finish();
}

}  // namespace drover::test
