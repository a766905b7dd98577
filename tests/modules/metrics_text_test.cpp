#include "modules/observer/metrics_text.h"

#include "core/counters/counter_table.h"
#include "tests/support/observed.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::observer;

namespace {

CounterReader::Sum counter(std::string name, std::uint64_t value, std::vector<CounterLabel> labels = {},
                           std::string unit = "", std::uint32_t per_unit = 1) {
    CounterReader::Sum sum;
    sum.name = std::move(name);
    sum.unit = std::move(unit);
    sum.help = "Help.";
    sum.labels = std::move(labels);
    sum.per_unit = per_unit;
    sum.value = value;
    return sum;
}

std::string prometheus(const Metrics& metrics) {
    return metrics_text(metrics, MetricsFormat::prometheus);
}
std::string open_metrics(const Metrics& metrics) {
    return metrics_text(metrics, MetricsFormat::open_metrics);
}

CounterReader::Sum histogram(HistogramBounds bounds, std::uint32_t per_unit,
                             const std::vector<std::uint64_t>& values) {
    return test::observed({.name = "wait_seconds",
                           .unit = "seconds",
                           .help = "Help.",
                           .labels = {{"route", "/a"}},
                           .bounds = bounds,
                           .per_unit = per_unit},
                          values);
}

std::vector<std::string> edges(const std::string& text) {
    std::vector<std::string> found;
    const std::string mark = "le=\"";
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
        const std::size_t begin = at + mark.size();
        found.push_back(text.substr(begin, text.find('"', begin) - begin));
    }
    return found;
}

}  // namespace

TEST_CASE("who asks for OpenMetrics gets it, all others Prometheus' own format") {
    const auto open = [](std::string_view accept) {
        return accepted_format(accept) == MetricsFormat::open_metrics;
    };
    CHECK_FALSE(open(""));
    CHECK_FALSE(open("*/*"));
    CHECK_FALSE(open("text/html, text/plain;q=0.5"));
    CHECK(open("application/openmetrics-text"));
    CHECK(open("application/openmetrics-text;version=1.0.0;q=0.8, text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    CHECK(open(" text/plain ; q=0.5 ,\tapplication/openmetrics-text ; q=0.75"));
    CHECK_FALSE(open("application/openmetrics-text;q=0.4,text/plain;q=0.5"));
    CHECK_FALSE(open("application/openmetrics-text;q=0"));
    CHECK_FALSE(open("application/openmetrics-text;q=x"));
    CHECK(open("Application/OpenMetrics-Text; Q=0.5, Text/Plain; Q=0.4"));
    CHECK_FALSE(open("Application/OpenMetrics-Text; Q=0.4, Text/Plain; Q=0.5"));
    CHECK(media_type(MetricsFormat::open_metrics).starts_with("application/openmetrics-text; version=1.0.0"));
    CHECK(media_type(MetricsFormat::prometheus).starts_with("text/plain; version=0.0.4"));
}

TEST_CASE("a counter in both formats") {
    const Metrics metrics{.sums = {counter("sent_bytes_total", 7, {}, "bytes")}};
    CHECK(prometheus(metrics) ==
          "# HELP sent_bytes_total Help.\n# TYPE sent_bytes_total counter\nsent_bytes_total 7\n");
    CHECK(open_metrics(metrics) ==
          "# HELP sent_bytes Help.\n# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\nsent_bytes_total 7\n"
          "# EOF\n");
}

TEST_CASE("a unit that the name does not end with is none for OpenMetrics") {
    const Metrics metrics{.sums = {counter("accepted_total", 7, {}, "connections")}};
    CHECK(open_metrics(metrics).find("UNIT") == std::string::npos);
}

TEST_CASE("values are in units, exact where they can be") {
    CHECK(
        prometheus({.sums = {counter("a", 18446744073709551615U)}}).ends_with("\na 18446744073709551615\n"));
    CHECK(prometheus({.sums = {counter("a", 1500, {}, "seconds", 1'000'000)}}).ends_with("\na 0.0015\n"));
    CHECK(prometheus({.sums = {counter("a", 3'000'000, {}, "seconds", 1'000'000)}}).ends_with("\na 3\n"));
    CounterReader::Sum gauge = counter("a", static_cast<std::uint64_t>(-5));
    gauge.kind = CounterKind::gauge;
    CHECK(prometheus({.sums = {gauge}}).ends_with("# TYPE a gauge\na -5\n"));
}

TEST_CASE("labels and help are escaped") {
    CounterReader::Sum sum = counter("a_total", 1, {{"path", "a\"b\\c\nd"}, {"host", "é"}});
    sum.help = "A \"b\\c\nd.";
    const std::string text = prometheus({.sums = {sum}});
    CHECK(text.find("\na_total{path=\"a\\\"b\\\\c\\nd\",host=\"é\"} 1\n") != std::string::npos);
    CHECK(text.starts_with("# HELP a_total A \"b\\\\c\\nd.\n"));
    CHECK(open_metrics({.sums = {sum}}).starts_with("# HELP a A \\\"b\\\\c\\nd.\n"));
}

TEST_CASE("a family stands together, said once, without what is there twice") {
    const Metrics metrics{.sums = {counter("a_total", 1, {{"r", "x"}}), counter("b_total", 2),
                                   counter("a_total", 3, {{"r", "y"}}), counter("a_total", 4, {{"r", "x"}})}};
    CHECK(prometheus(metrics) ==
          "# HELP a_total Help.\n# TYPE a_total counter\na_total{r=\"x\"} 1\na_total{r=\"y\"} 3\n"
          "# HELP b_total Help.\n# TYPE b_total counter\nb_total 2\n");
}

TEST_CASE("of two declarations of one name the same one is shown, wherever their columns lie") {
    CounterReader::Sum gauge = counter("a_total", 5, {{"r", "x"}});
    gauge.kind = CounterKind::gauge;
    CounterReader::Sum other = counter("a_total", 6, {{"r", "y"}});
    other.kind = CounterKind::gauge;
    const CounterReader::Sum plain = counter("a_total", 7, {{"r", "x"}});
    const auto narrow = histogram({.min = 1, .max = 1000}, 1, {2, 3});
    const auto wide = histogram({.min = 1, .max = 60'000}, 1, {2});
    const std::string one = prometheus({.sums = {gauge, other, plain, narrow, wide}});
    CHECK(one.starts_with("# HELP a_total Help.\n# TYPE a_total counter\na_total{r=\"x\"} 7\n# HELP wait"));
    CHECK(one.ends_with("wait_seconds_count{route=\"/a\"} 2\n"));
    CHECK(prometheus({.sums = {other, plain, gauge, wide, narrow}}) == one);
}

TEST_CASE("a histogram's buckets add up, and are the same set whatever was observed") {
    const HistogramBounds bounds{.min = 1, .max = 60'000'000};
    const std::string text = prometheus({.sums = {histogram(bounds, 1'000'000, {1, 3, 1024, 70'000'000})}});
    CHECK(text.find("# TYPE wait_seconds histogram\n") != std::string::npos);
    CHECK(text.find("wait_seconds_bucket{route=\"/a\",le=\"0.001023\"} 2\n") != std::string::npos);
    CHECK(text.find("wait_seconds_bucket{route=\"/a\",le=\"0.002047\"} 3\n") != std::string::npos);
    CHECK(text.find("wait_seconds_bucket{route=\"/a\",le=\"+Inf\"} 4\n") != std::string::npos);
    CHECK(text.find("wait_seconds_sum{route=\"/a\"} 70.001028\n") != std::string::npos);
    CHECK(text.ends_with("wait_seconds_count{route=\"/a\"} 4\n"));
    const std::vector<std::string> all = edges(text);
    CHECK(all == edges(prometheus({.sums = {histogram(bounds, 1'000'000, {})}})));
    CHECK(all.size() < 32);
    CHECK(all.back() == "+Inf");
    const bool grow = std::ranges::is_sorted(
        all, {}, [](const std::string& edge) { return edge == "+Inf" ? 1e300 : std::stod(edge); });
    CHECK(grow);
    CHECK(std::stod(all[all.size() - 2]) >= 60);
}

TEST_CASE("the edges of a histogram of whole numbers look like floats") {
    const std::vector<std::string> all =
        edges(prometheus({.sums = {histogram({.min = 0, .max = 10}, 1, {})}}));
    CHECK(all == std::vector<std::string>{"0.0", "1.0", "3.0", "7.0", "10.0", "+Inf"});
}

TEST_CASE("a gauge of each worker says whose it is; those that a newer one has replaced are told apart") {
    CounterReader::Sum sum = counter("busy_ratio", 0, {}, "ratio", 1000);
    sum.kind = CounterKind::gauge;
    sum.scope = CounterScope::worker;
    const auto worker = [](std::string pool, std::uint32_t slot, std::uint64_t instance, std::int64_t value) {
        return CounterReader::WorkerValue{.pool = std::move(pool),
                                          .slot = slot,
                                          .pid = static_cast<std::uint32_t>(100 + instance),
                                          .instance = instance,
                                          .value = value};
    };
    const Metrics metrics{
        .sums = {sum},
        .worker_gauges = {{"busy_ratio",
                           {worker("b", 0, 3, 1000), worker("a", 10, 1, 1), worker("a", 2, 4, 500),
                            worker("a", 2, 9, 250), worker("a", 2, 5, 750)}}}};
    CHECK(prometheus(metrics) ==
          "# HELP busy_ratio Help.\n# TYPE busy_ratio gauge\nbusy_ratio{pool=\"a\",slot=\"2\"} 0.25\n"
          "busy_ratio{pool=\"a\",slot=\"2\",older_pid=\"105\"} 0.75\n"
          "busy_ratio{pool=\"a\",slot=\"2\",older_pid=\"104\"} 0.5\n"
          "busy_ratio{pool=\"a\",slot=\"10\"} 0.001\nbusy_ratio{pool=\"b\",slot=\"0\"} 1\n");
}

TEST_CASE("what is read of a table is what its rows have counted") {
    CounterTable table;
    table.declare(1, std::vector<CounterDeclaration>{
                         {.name = "hits_total", .help = "Hits."},
                         {.name = "load", .kind = CounterKind::gauge, .scope = CounterScope::worker}});
    for (std::uint64_t instance = 1; instance <= 2; ++instance) {
        const auto row = table.take_row(
            {.instance = instance, .generation = 1, .pool = "main", .slot = static_cast<unsigned>(instance)});
        const CounterRow cells(table.read_only_fd(), table.row_fd(row.value()), row.value(), instance);
        cells.counter("hits_total").add(instance);
        cells.gauge("load").set(static_cast<std::int64_t>(instance) * 10);
    }
    const std::string text =
        prometheus(read_metrics(CounterReader(table.read_only_fd(), table.row_source())));
    CHECK(text.find("\nhits_total 3\n") != std::string::npos);
    CHECK(text.find("\nload{pool=\"main\",slot=\"1\"} 10\nload{pool=\"main\",slot=\"2\"} 20\n") !=
          std::string::npos);
}

TEST_CASE("control characters of modules' texts are shown, not sent") {
    CounterReader::Sum sum;
    sum.name = "hits_total";
    sum.help = "Help\x1b[2J.";
    sum.labels = {{"route", "\x1b]0;x\x07\xc2\x9b \xff \" \\ \n"}};
    CHECK(prometheus({.sums = {sum}, .worker_gauges = {}}) ==
          "# HELP hits_total Help\\\\x1b[2J.\n# TYPE hits_total counter\n"
          "hits_total{route=\"\\\\x1b]0;x\\\\x07\\\\u009b \\\\xff \\\" \\\\ \\n\"} 0\n");
}
