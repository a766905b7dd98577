// Handlers in C++: answers now and later, bodies whole and as they come, clients that go.
#include "tests/modules/play_server.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

struct Receiver final : BodyReceiver {
    Receiver(Response given, std::string& received, bool pauses)
        : response(std::move(given)), body(received), pausing(pauses) {}
    Next on_body(std::string_view piece) override {
        body += piece;
        return pausing ? Next::pause : Next::more;
    }
    void on_body_end() override { response.send("got " + std::to_string(body.size())); }
    Response response;
    std::string& body;
    bool pausing;
};

}  // namespace

TEST_CASE("a handler sees the request and answers it at once") {
    std::string seen;
    Play actions{.handle = [&](const Request& request, Response response) {
        seen.append(request.method()).append("|").append(request.path()).append("|").append(request.query());
        seen.append("|").append(request.resolved_path()).append("|").append(request.host());
        seen.append("|").append(request.header("x-one")).append("|").append(request.header("x-two"));
        CHECK(request.has_header("x-empty"));
        CHECK(request.header("x-empty").empty());
        CHECK_FALSE(request.has_header("x-three"));
        CHECK(request.peer_address().port() != 0);
        response.header("X-Made", "here").send(201, "a/b", "made");
        response.send("once only");
    }};
    PlayServer server(actions);
    CHECK(actions.started);
    const std::string reply =
        reply_of(server, request_with("X-One:  1 \r\nx-TWO: 2\r\nX-Empty:\r\nConnection: close\r\n"));
    CHECK(seen == "GET|/a%20b|x=1|/a b|h:80|1|2");
    CHECK(reply ==
          "HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nContent-Length: 4\r\nX-Made: here\r\n"
          "Connection: close\r\n\r\nmade");
    CHECK(responses(server, "2xx") == 1);
}

TEST_CASE("what a handler does not answer, or throws, is 500, and the connection stays") {
    Play actions;
    SUBCASE("forgets") {
        actions.handle = [](const Request&, Response) {};
    }
    SUBCASE("throws") {
        actions.handle = [](const Request&, Response) { throw std::runtime_error("no"); };
    }
    SUBCASE("a header that would split the reply") {
        actions.handle = [](const Request&, Response response) { response.header("X", "a\r\nY: b"); };
    }
    SUBCASE("a header that the server makes") {
        actions.handle = [](const Request&, Response response) { response.header("content-Length", "3"); };
    }
    SUBCASE("a status that is none") {
        actions.handle = [](const Request&, Response response) { response.status(99); };
    }
    PlayServer server(actions);
    CHECK(reply_of(server, request_with("") + request_with("Connection: close\r\n")) ==
          error("500 Internal Server Error") + error("500 Internal Server Error", close_header));
}

TEST_CASE("methods that a handler does not take are refused, and OPTIONS are told") {
    Play actions{.handle = [](const Request&, Response response) { response.send("x"); }};
    PlayServer server(actions);
    const std::string allow = "Allow: GET, HEAD, POST\r\n";
    CHECK(reply_of(server, request_with("Connection: close\r\n", "", "DELETE")) ==
          error("405 Method Not Allowed", allow + close_header));
    CHECK(reply_of(server, request_with("Connection: close\r\n", "", "OPTIONS")) ==
          "HTTP/1.1 204 No Content\r\n" + allow + close_header + "\r\n");
    CHECK(reply_of(server, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") ==
          "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD\r\n" + close_header + "\r\n");
    CHECK(reply_of(server, request_with("Connection: close\r\n", "", "HEAD")) ==
          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n");
}

TEST_CASE("an answer that comes later keeps the order of pipelined requests") {
    Later later;
    PlayServer server(later.actions);
    FixtureClient client(server);
    REQUIRE(client.send(request_with("") + request_with("") + request_with("Connection: close\r\n")));
    for (const char* body : {"one", "two", "three"}) {
        REQUIRE(server.run_until([&] { return !later.response.client_gone(); }));
        server.settle();
        Response(std::move(later.response)).send(body);
    }
    REQUIRE(client.read_to_end());
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    CHECK(without_dates(client.received()) ==
          head + "3\r\n\r\none" + head + "3\r\n\r\ntwo" + head + "5\r\n" + close_header + "\r\nthree");
    CHECK(server.count("drover_http_requests_total") == 3);
}

TEST_CASE("a client that goes is noticed, and answering it does no harm") {
    Later later;
    PlayServer server(later.actions);
    FixtureClient client(server);
    REQUIRE(client.send(request_with("")));
    REQUIRE(server.run_until([&] { return !later.response.client_gone(); }));
    int told = 0;
    later.response.on_client_gone([&] { ++told; });
    SUBCASE("it closed") {
        client.close();
        REQUIRE(server.run_until([&] { return told == 1; }));
        later.response.send("anyone?");
        CHECK(server.run_until([&] { return server.connection_count() == 0; }));
    }
    SUBCASE("it reset the connection") {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        client.close();
        REQUIRE(server.run_until([&] { return server.connection_count() == 0 && told == 1; }));
        CHECK(later.response.client_gone());
        CHECK_FALSE(later.response.writable());
        later.response.status(200).type("a/b").send("anyone?");
        later.response.begin();
        later.response.write("x");
        later.response.end();
    }
    SUBCASE("it only ended its side, and gets its answer") {
        client.shut_down_sending();
        REQUIRE(server.run_until([&] { return told == 1; }));
        CHECK(later.response.client_gone());
        later.response.send("still here");
        REQUIRE(client.read_to_end());
        CHECK(client.received().ends_with("still here"));
    }
    server.settle();
    CHECK(told == 1);
}

TEST_CASE("a time limit does not cut a handler that takes its time") {
    Later later;
    PlayServer server(later.actions);
    FixtureClient client(server);
    REQUIRE(client.send(request_with("")));
    REQUIRE(server.run_until([&] { return !later.response.client_gone(); }));
    for (int round = 0; round < 5; ++round)
        server.pass(std::chrono::seconds(31));
    later.response.send("late");
    REQUIRE(client.read_until([&] { return client.received().ends_with("late"); }));
    CHECK(server.connection_count() == 1);
}

TEST_CASE("a body is given whole, whatever way it comes") {
    std::string body;
    Play actions{.handle = [&](const Request& request, Response response) {
        body = request.body();
        CHECK(request.header("x-one") == "1");
        CHECK(request.query() == "x=1");
        response.send("ok");
    }};
    PlayServer server(actions);
    const std::string end = "X-One: 1\r\nConnection: close\r\n";
    SUBCASE("sized") {
        reply_of(server, request_with(end + "Content-Length: 5\r\n", "a\r\n\r\nb").substr(0, 5) +
                             request_with(end + "Content-Length: 5\r\n", "a\r\n\rb", "POST").substr(5));
    }
    SUBCASE("chunked, byte by byte") {
        FixtureClient client(server);
        const std::string request = request_with(end + "Transfer-Encoding: chunked\r\n",
                                                 "2;x=y\r\na\r\r\n3\r\n\n\rb\r\n0\r\nT: u\r\n\r\n", "POST");
        for (const char& byte : request) {
            REQUIRE(client.send({&byte, 1}));
            server.settle();
        }
        REQUIRE(client.read_to_end());
        CHECK(body == "a\r\n\rb");
    }
    SUBCASE("asked for") {
        FixtureClient client(server);
        REQUIRE(client.send(request_with(end + "Content-Length: 3\r\nExpect: 100-continue\r\n", "", "POST")));
        const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        REQUIRE(client.read_bytes(go_on.size()));
        CHECK(client.take_received() == go_on);
        REQUIRE(client.send("abc"));
        REQUIRE(client.read_to_end());
        CHECK(body == "abc");
    }
    CHECK_FALSE(body.empty());
}

TEST_CASE("a body may be taken as it comes, with pauses, and an answer may come before its end") {
    std::string body;
    Receiver* receiver = nullptr;
    bool pauses = false;
    Play actions{.handle = [](const Request&, Response) { FAIL("the receiver answers"); },
                 .receive = [&](const Request&, Response& response) -> std::unique_ptr<BodyReceiver> {
                     auto made = std::make_unique<Receiver>(std::move(response), body, pauses);
                     receiver = made.get();
                     return made;
                 }};
    PlayServer server(actions);
    FixtureClient client(server);
    const std::string request = request_with("Content-Length: 1000\r\n", "", "POST");
    SUBCASE("as it comes") {
        REQUIRE(client.send(request + "first"));
        REQUIRE(server.run_until([&] { return body == "first"; }));
        REQUIRE(client.send(std::string(995, 'x') + request_with("Content-Length: 1\r\n", "y", "POST")));
        REQUIRE(client.read_until([&] { return client.received().ends_with("got 1001"); }));
        CHECK(occurrences(client.received(), "got 1000") == 1);
    }
    SUBCASE("with a pause") {
        pauses = true;
        REQUIRE(client.send(request + "first"));
        REQUIRE(server.run_until([&] { return body == "first"; }));
        REQUIRE(client.send("second"));
        server.settle();
        CHECK(body == "first");
        server.pass(std::chrono::seconds(60));
        CHECK(server.connection_count() == 1);
        receiver->response.resume_body();
        REQUIRE(server.run_until([&] { return body == "firstsecond"; }));
        receiver->pausing = false;
        receiver->response.resume_body();
        REQUIRE(client.send(std::string(989, 'x')));
        REQUIRE(client.read_until([&] { return client.received().ends_with("got 1000"); }));
    }
    SUBCASE("answered early") {
        REQUIRE(client.send(request + "first"));
        REQUIRE(server.run_until([&] { return body == "first"; }));
        Response(std::move(receiver->response)).send(413, "text/plain", "enough");
        REQUIRE(client.send(std::string(995, 'x')));
        REQUIRE(client.read_to_end());
        CHECK_FALSE(client.reset());
        CHECK(client.received().ends_with("Connection: close\r\n\r\nenough"));
    }
    SUBCASE("the client goes in the middle") {
        REQUIRE(client.send(request + "first"));
        REQUIRE(server.run_until([&] { return body == "first"; }));
        client.close();
        CHECK(server.run_until([&] { return server.connection_count() == 0; }));
    }
}
