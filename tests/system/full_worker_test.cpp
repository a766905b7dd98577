// Workers at max_connections: new clients are served by those that have room, and by none at the cost of a
// request.
#include "tests/support/master_under_test.h"
#include "tests/support/unfinished_request.h"

#include <deque>
#include <memory>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

constexpr std::size_t crowded_limit = 10;

TestConfig crowded(unsigned workers, const std::string& balance = "") {
    return {.workers = workers,
            .pool = "max_connections = " + std::to_string(crowded_limit) + "\nreport_interval = \"100ms\"\n",
            .balance = balance};
}

const std::string displaced_total = "drover_connections_displaced_total";

}  // namespace

TEST_CASE("a full worker's clients are served by those that have room, whatever the kernel chose") {
    for (const char* balance : {"reuseport", "shared"}) {
        MasterUnderTest master(crowded(4, balance));
        std::deque<HttpClient> clients;
        for (std::size_t i = 0; i < 4 * crowded_limit; ++i) {
            clients.emplace_back(master.http_port());
            CHECK(clients.back().get().body == "first");
        }
        for (HttpClient& client : clients)
            CHECK(client.get().body == "first");
        CHECK(master.status().counters.at(displaced_total) == 0);
        master.finish();
    }
}

TEST_CASE("clients that come together are all served although one worker fills up first") {
    MasterUnderTest master(crowded(4));
    std::deque<HttpClient> clients;
    for (std::size_t i = 0; i < 4 * crowded_limit; ++i) {
        clients.emplace_back(master.http_port());
        clients.back().stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    for (HttpClient& client : clients)
        CHECK(client.read_reply().body == "first");
    master.finish();
}

TEST_CASE("while one worker with a single place is full the others serve short clients at any rate") {
    MasterUnderTest master({.workers = 3, .pool = "max_connections = 1\n"});
    UnfinishedRequest busy(master.http_port());
    for (int i = 0; i < 300; ++i) {
        HttpClient client(master.http_port());
        REQUIRE(client.get().body == "first");
    }
    CHECK(busy.finish().body == "first");
    master.finish();
}

TEST_CASE("when all are full the longest idle connections make room, and are counted") {
    MasterUnderTest master(crowded(2));
    std::deque<HttpClient> clients;
    for (std::size_t i = 0; i < 2 * crowded_limit + 4; ++i) {
        clients.emplace_back(master.http_port());
        CHECK(clients.back().get().body == "first");
    }
    CHECK(master.status().counters.at(displaced_total) == 4);
    std::size_t gone = 0;
    for (HttpClient& client : clients)
        gone += static_cast<std::size_t>(!client.stream().quiet());
    CHECK(gone == 4);
    master.finish();
}

TEST_CASE("requests make no room: the next client waits until one ends") {
    MasterUnderTest master(crowded(2));
    std::deque<UnfinishedRequest> busy;
    for (std::size_t i = 0; i < 2 * crowded_limit; ++i)
        busy.emplace_back(master.http_port());
    HttpClient waiting(master.http_port());
    waiting.stream().send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(waiting.stream().quiet(std::chrono::milliseconds(300)));
    // Whose request has ended is idle from then on.
    for (UnfinishedRequest& request : busy)
        CHECK(request.finish().body == "first");
    CHECK(waiting.read_reply().body == "first");
    master.finish();
}

}  // namespace drover::test
