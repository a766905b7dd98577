#include "modules/http/http_connection.h"
#include "tests/modules/http_server_fixture.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover::test;
using namespace std::chrono_literals;

namespace {

const std::string timed_out = error("408 Request Timeout", close_header);

// What has arrived without the connection having ended.
std::string still_open(FixtureClient& client) {
    client.read();
    CHECK_FALSE(client.ended());
    CHECK_FALSE(client.reset());
    return without_dates(client.take_received());
}

std::string end_of(FixtureClient& client) {
    CHECK(client.read_to_end());
    CHECK_FALSE(client.reset());
    return without_dates(client.take_received());
}

}  // namespace

TEST_CASE("a client that asks for nothing is let go without a word") {
    Server server;
    FixtureClient client(server);
    server.settle();
    server.pass(9s);
    CHECK(still_open(client).empty());
    server.pass(2s);
    CHECK(end_of(client).empty());
    CHECK(server.run_until([&] { return server.connection_count() == 0; }));
}

TEST_CASE("the time for a head runs from its first byte, however many follow") {
    Server server;
    FixtureClient client(server);
    REQUIRE(client.send("GE"));
    server.settle();
    for (int round = 0; round < 9; ++round) {
        server.pass(1s);
        REQUIRE(client.send("T"));
        server.settle();
    }
    CHECK(still_open(client).empty());
    server.pass(2s);
    CHECK(end_of(client) == timed_out);
    CHECK(responses(server, "4xx") == 1);
}

TEST_CASE("the head after a reply has its time for itself") {
    Server server;
    FixtureClient client(server);
    REQUIRE(client.send("GET / HT"));
    server.settle();
    server.pass(8s);
    REQUIRE(client.send("TP/1.1\r\nHost: a\r\n\r\nGET"));
    REQUIRE(client.read_bytes(ok_size));
    client.take_received();
    server.pass(8s);
    CHECK(still_open(client).empty());
    server.pass(3s);
    CHECK(end_of(client) == timed_out);
}

TEST_CASE("between two requests the idle limit holds") {
    Server server;
    FixtureClient client(server);
    REQUIRE(client.send(get));
    REQUIRE(client.read_bytes(ok_size));
    client.take_received();
    server.pass(39s);
    CHECK(still_open(client).empty());
    REQUIRE(client.send(get));
    REQUIRE(client.read_bytes(ok_size));
    client.take_received();
    server.pass(39s);
    CHECK(still_open(client).empty());
    server.pass(2s);
    CHECK(end_of(client).empty());
}

TEST_CASE("a request that has arrived when the idle limit passes is answered") {
    Server server;
    FixtureClient client(server);
    REQUIRE(client.send(get));
    REQUIRE(client.read_bytes(ok_size));
    client.take_received();
    REQUIRE(client.send(get));
    server.pass(31s);
    server.pass(11s);
    REQUIRE(client.read_bytes(ok_size));
    CHECK(still_open(client) == ok());
}

TEST_CASE("a body may pause, but not for long") {
    Server server;
    FixtureClient client(server);
    REQUIRE(client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n"));
    server.settle();
    for (int round = 0; round < 4; ++round) {
        server.pass(19s);
        REQUIRE(client.send("x"));
        server.settle();
    }
    CHECK(still_open(client).empty());
    server.pass(21s);
    CHECK(end_of(client) == timed_out);
}

TEST_CASE("a client that does not take its replies is cut off") {
    Server server(limits + "[[module.http.route]]\npath = \"/\"\nreturn = { body = \"" +
                  std::string(60000, 'x') + "\" }\n");
    FixtureClient client(server);
    std::string requests;
    for (int index = 0; index < 1000; ++index)
        requests += get;
    REQUIRE(client.send(requests));
    server.settle();
    CHECK(server.connection_count() == 1);
    server.pass(29s);
    CHECK(server.connection_count() == 1);
    server.pass(2s);
    CHECK(server.run_until([&] { return server.connection_count() == 0; }));
}

TEST_CASE("a worker that drains lets idle clients ask once more, then ends them") {
    Server server;
    FixtureClient silent(server);
    FixtureClient asking(server);
    FixtureClient fresh(server);
    for (FixtureClient* client : {&silent, &asking}) {
        REQUIRE(client->send(get));
        REQUIRE(client->read_bytes(ok_size));
        client->take_received();
    }
    server.drain();
    CHECK(still_open(silent).empty());
    REQUIRE(asking.send(get));
    CHECK(end_of(asking) == ok(close_header));
    server.pass(1s + 200ms);
    CHECK(end_of(silent).empty());
    CHECK(still_open(fresh).empty());
    REQUIRE(fresh.send(get));
    CHECK(end_of(fresh) == ok(close_header));
    CHECK(server.run_until([&] { return server.connection_count() == 0; }));
}

TEST_CASE("a client that never asks does not hold up a worker that drains") {
    Server server;
    FixtureClient fresh(server);
    server.settle();
    server.drain();
    server.pass(4s);
    CHECK(still_open(fresh).empty());
    server.pass(2s);
    CHECK(end_of(fresh).empty());
}

TEST_CASE("a request in the middle when the worker drains is answered, and those behind it too") {
    Server server;
    FixtureClient head(server);
    FixtureClient body(server);
    REQUIRE(head.send(get + "GET / HTTP"));
    REQUIRE(body.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na"));
    REQUIRE(head.read_bytes(ok_size));
    server.settle();
    server.drain();
    server.pass(3s);
    REQUIRE(head.send("/1.1\r\nHost: a\r\n\r\n" + get + get));
    CHECK(end_of(head) == ok() + ok() + ok() + ok(close_header));
    REQUIRE(body.send("bc"));
    CHECK(end_of(body) == ok(close_header));
}
