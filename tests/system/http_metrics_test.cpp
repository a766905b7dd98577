// Metrics of each http route: what clients counted is what the table says, through reloads of both kinds that
// add and remove routes, and through deaths of all workers.
#include "tests/support/busy_clients.h"
#include "tests/support/counter_watch.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"

#include <csignal>
#include <map>
#include <thread>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

std::string route(const std::string& path, const std::string& more = "") {
    return "[[module.http.route]]\npath = \"" + path + "\"\nreturn = { body = \"" + path + "\" }\n" + more;
}

// What clients saw, by route: requests and responses of one class, bytes.
struct Seen {
    std::uint64_t replies = 0;
    std::uint64_t bytes = 0;
};
using SeenByRoute = std::map<std::string, Seen>;

void ask(HttpClient& client, const std::string& path, const std::string& label, SeenByRoute& seen) {
    const HttpReply reply = client.get(path);
    ++seen[label].replies;
    seen[label].bytes += reply.head.size() + reply.body.size();
}

// A reply is counted when the kernel has taken it, its time last: the client may have it by then.
bool reaches(const CounterReader& reader, const std::string& name, std::uint64_t count) {
    for (const Deadline deadline; value(reader, name) < count && !deadline.passed();)
        std::this_thread::yield();
    return value(reader, name) == count;
}

void compare(const CounterReader& reader, const std::string& label, const Seen& seen, const char* code) {
    CAPTURE(label);
    const std::string labels = "{route=\"" + label + "\"}";
    CHECK(reaches(reader, "drover_http_request_seconds" + labels, seen.replies));
    CHECK(value(reader, "drover_http_requests_total" + labels) == seen.replies);
    CHECK(value(reader, "drover_http_responses_total{route=\"" + label + "\",code=\"" + code + "\"}") ==
          seen.replies);
    CHECK(value(reader, "drover_http_responses_aborted_total" + labels) == 0);
    CHECK(value(reader, "drover_http_response_bytes_total" + labels) == seen.bytes);
}

}  // namespace

TEST_CASE("each route's figures are what clients counted, through reloads and the death of all workers") {
    TestConfig config{.rest = route("/a") + route("/b", "name = \"bee\"\n")};
    MasterUnderTest master(config);
    const CounterReader reader = reader_of(master);
    ReaderProcess reader_process(master, 100);
    SeenByRoute seen;
    std::uint64_t busy = 0;
    {
        BusyClients clients(master.http_port(), 8);
        HttpClient client(master.http_port());
        for (unsigned round = 0; round < 12; ++round) {
            const std::uint64_t before = clients.replies();
            for (unsigned i = 0; i <= round; ++i)
                ask(client, "/a/" + std::to_string(i), "/a", seen);
            ask(client, "/b", "bee", seen);
            // "/c" comes and goes, hot; every third reload is of the other kind.
            config.master = round % 3 == 2 ? "reload = \"fresh\"\n" : "";
            const bool has_c = round % 2 == 0;
            config.rest = route("/a") + route("/b", "name = \"bee\"\n") + (has_c ? route("/c") : "");
            master.write_config(config);
            REQUIRE(master.control("reload").ok);
            if (has_c) ask(client, "/c", "/c", seen);
            master.wait_until("replies", [&] { return clients.replies() >= before + 50; });
        }
        const BusyClients::Totals totals = clients.stop();
        CHECK_MESSAGE(totals.nothing_lost(), to_text(totals));
        busy = totals.replies;
    }
    const auto compare_all = [&] {
        compare(reader, "/a", seen["/a"], "2xx");
        compare(reader, "bee", seen["bee"], "2xx");
        const std::string seconds = "drover_http_request_seconds{route=\"/\"}";
        CHECK(reaches(reader, seconds, busy));
        CHECK(value(reader, "drover_http_requests_total{route=\"/\"}") == busy);
        CHECK(value(reader, "drover_http_responses_total{route=\"/\",code=\"2xx\"}") == busy);
        CHECK(value(reader, "drover_http_requests_total{route=\"malformed\"}") == 0);
    };
    compare_all();
    // The last reload took it away: the table does not show it once nobody counts by the one before.
    CHECK(seen["/c"].replies == 6);
    const auto shown = [&] { return value(reader, "drover_http_requests_total{route=\"/c\"}") != 0; };
    for (const Deadline deadline; shown() && !deadline.passed();)
        (void)master.status();
    CHECK_FALSE(shown());

    const std::vector<pid_t> workers = master.worker_pids();
    for (const pid_t pid : workers)
        ::kill(pid, SIGKILL);
    master.wait_replaced(workers);
    compare_all();
    config.rest = route("/a") + route("/b", "name = \"bee\"\n") + route("/c");
    master.write_config(config);
    REQUIRE(master.control("reload").ok);
    compare(reader, "/c", seen["/c"], "2xx");
    HttpClient client(master.http_port());
    ask(client, "/a", "/a", seen);
    ask(client, "/c", "/c", seen);
    compare_all();
    compare(reader, "/c", seen["/c"], "2xx");
    CHECK(reader_process.finish() == "");
    master.finish();
}

}  // namespace drover::test
