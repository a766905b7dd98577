#include "modules/http/http_connection.h"

#include "tests/modules/http_server_fixture.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover::test;

TEST_CASE("a request is answered, and the connection stays for the next") {
    Server server;
    FixtureClient client(server);
    for (int round = 0; round < 3; ++round) {
        REQUIRE(client.send(get));
        REQUIRE(client.read_bytes(ok_size));
        CHECK(without_dates(client.take_received()) == ok());
    }
    CHECK(server.connection_count() == 1);
    client.close();
    CHECK(server.run_until([&] { return server.connection_count() == 0; }));
}

TEST_CASE("sixteen pipelined requests in one write are answered in order") {
    Server server;
    FixtureClient client(server);
    std::string requests;
    std::string expected;
    for (int index = 0; index < 15; ++index) {
        requests += index % 2 == 0 ? get : "GET /only/this HTTP/1.1\r\nHost: a\r\n\r\n";
        expected +=
            index % 2 == 0
                ? ok()
                : "HTTP/1.1 503 Service Unavailable\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nlater";
    }
    REQUIRE(client.send(requests + get_close));
    REQUIRE(client.read_to_end());
    CHECK_FALSE(client.reset());
    CHECK(without_dates(client.received()) == expected + ok(close_header));
    CHECK(server.count("drover_http_requests_total") == 16);
    CHECK(responses(server, "2xx") == 9);
    CHECK(responses(server, "5xx") == 7);
}

TEST_CASE("a request may come byte by byte") {
    Server server;
    FixtureClient client(server);
    for (const char& byte : get) {
        REQUIRE(client.send({&byte, 1}));
        server.settle();
    }
    REQUIRE(client.read_bytes(ok_size));
    CHECK(without_dates(client.received()) == ok());
}

TEST_CASE("head, 1.0 and close") {
    Server server;
    CHECK(exchange_to_end(server, get_close) == ok(close_header));
    CHECK(exchange_to_end(server, "GET / HTTP/1.0\r\n\r\n") == ok(close_header));
    CHECK(exchange_to_end(server, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n") ==
          ok("Connection: keep-alive\r\n") + ok(close_header));
    const std::string body = "hello\n";
    const std::string head = ok(close_header);
    CHECK(exchange_to_end(server, "HEAD / HTTP/1.0\r\n\r\n") == head.substr(0, head.size() - body.size()));
    // What follows a request that closes is not answered, and does not reset the connection.
    CHECK(exchange_to_end(server, get_close + get + get) == ok(close_header));
}

TEST_CASE("requests that are no requests are answered and closed") {
    Server server;
    const auto refused = [](const std::string& status) { return error(status, close_header); };
    CHECK(exchange_to_end(server, "GET\r\n\r\n") == refused("400 Bad Request"));
    CHECK(exchange_to_end(server, "GET / HTTP/1.1\r\n\r\n") == refused("400 Bad Request"));
    CHECK(exchange_to_end(server, "GET / HTTP/2.0\r\n\r\n") == refused("505 HTTP Version Not Supported"));
    CHECK(exchange_to_end(server, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n") == refused("501 Not Implemented"));
    CHECK(exchange_to_end(server, "GET /" + std::string(100, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n") ==
          refused("414 URI Too Long"));
    CHECK(exchange_to_end(server, "GET / HTTP/1.1\r\nX: " + std::string(2000, 'x')) ==
          refused("431 Request Header Fields Too Large"));
    CHECK(exchange_to_end(server, "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n") ==
          refused("417 Expectation Failed"));
    const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
    CHECK(exchange_to_end(server, post + "Content-Length: 1001\r\n\r\n") == refused("413 Content Too Large"));
    CHECK(exchange_to_end(server, post + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n") ==
          refused("413 Content Too Large"));
    CHECK(exchange_to_end(server, post + "Transfer-Encoding: gzip\r\n\r\n") ==
          refused("501 Not Implemented"));
    CHECK(exchange_to_end(server, post + "Transfer-Encoding: chunked\r\n\r\n0x1\r\n") ==
          refused("400 Bad Request"));
    CHECK(exchange_to_end(server, get + "bad\r\n\r\n") == ok() + refused("400 Bad Request"));
    // The body that was not wanted is still being sent: the reply arrives all the same.
    CHECK(exchange_to_end(server, post + "Content-Length: 900000\r\n\r\n" + std::string(900000, 'x')) ==
          refused("413 Content Too Large"));
}

TEST_CASE("what is not there and what may not be done keep the connection") {
    Server server("[[module.http.route]]\npath = \"/a\"\nreturn = { body = \"x\" }\n");
    FixtureClient client(server);
    REQUIRE(
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n"
                    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                    "DELETE /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    REQUIRE(client.read_to_end());
    const std::string allow = "Allow: GET, HEAD\r\n";
    CHECK(without_dates(client.received()) == error("404 Not Found") + error("404 Not Found") +
                                                  error("405 Method Not Allowed", allow) +
                                                  error("405 Method Not Allowed", allow + close_header));
    CHECK(responses(server, "4xx") == 4);
}

TEST_CASE("the body of a request is read and left aside") {
    Server server;
    FixtureClient client(server);
    const std::string sized = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
    const std::string chunked =
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\nX: y\r\n\r\n";
    REQUIRE(client.send(sized));
    server.settle();
    client.read();
    CHECK(client.received().empty());
    REQUIRE(client.send(std::string(1000, '\n') + chunked));
    for (const char& byte : chunked) {
        REQUIRE(client.send({&byte, 1}));
        server.settle();
    }
    REQUIRE(client.send(get_close));
    REQUIRE(client.read_to_end());
    CHECK(without_dates(client.received()) == ok() + ok() + ok() + ok(close_header));
}

TEST_CASE("a client that asks before it sends a body is told to go on, or no") {
    Server server;
    const std::string expect = "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    FixtureClient client(server);
    REQUIRE(client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + expect));
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    REQUIRE(client.read_bytes(go_on.size()));
    CHECK(client.take_received() == go_on);
    REQUIRE(client.send("abc"));
    REQUIRE(client.read_to_end());
    CHECK(without_dates(client.received()) == ok(close_header));

    CHECK(exchange_to_end(server, "POST / HTTP/1.1\r\nHost: a\r\n" + expect) ==
          error("405 Method Not Allowed", "Allow: GET, HEAD\r\n" + close_header));
}

TEST_CASE("the status handler answers with the status as JSON") {
    Server server;
    const std::string reply =
        exchange_to_end(server, "GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(reply.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "));
    CHECK(reply.find("\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{") != std::string::npos);
    CHECK(reply.find(R"("drover_http_requests_total{route=\"/status\"}")") != std::string::npos);
    const std::string head = exchange_to_end(server, "HEAD /status HTTP/1.0\r\n\r\n");
    CHECK(head.ends_with("\r\n\r\n"));
}

TEST_CASE("a client that ends its side gets its replies") {
    Server server;
    FixtureClient client(server);
    REQUIRE(client.send(get + get));
    client.shut_down_sending();
    REQUIRE(client.read_to_end());
    CHECK(without_dates(client.received()) == ok() + ok());
    CHECK(server.run_until([&] { return server.connection_count() == 0; }));
}

TEST_CASE("a client that pipelines and does not read is not read from either") {
    Server server("[[module.http.route]]\npath = \"/\"\nreturn = { body = \"" + std::string(20000, 'x') +
                  "\" }\n");
    FixtureClient client(server);
    constexpr std::size_t count = 3000;
    std::string requests;
    for (std::size_t index = 0; index < count; ++index)
        requests += get;
    std::string_view unsent = requests;
    // 60 MB of replies are more than the sockets hold: the server must stop long before the last request.
    for (int round = 0; round < 200; ++round) {
        REQUIRE(client.send_some(unsent));
        server.settle();
    }
    CHECK(server.count("drover_http_requests_total") < count / 2);
    std::size_t received = 0;
    const std::string end = get_close;
    REQUIRE(client.read_until([&] {
        if (!unsent.empty()) REQUIRE(client.send_some(unsent));
        received += occurrences(client.take_received(), "HTTP/1.1 200 OK");
        return server.count("drover_http_requests_total") == count;
    }));
    REQUIRE(client.send(end));
    REQUIRE(client.read_to_end());
    received += occurrences(client.received(), "HTTP/1.1 200 OK");
    CHECK(responses(server, "2xx") == count + 1);
    CHECK_FALSE(client.reset());
}

TEST_CASE("a way of writing a path does not lead around a route") {
    Server server;
    const std::string later =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: a/b\r\nContent-Length: 5\r\n" + close_header +
        "\r\nlater";
    for (const char* target : {"/only/this", "/only//this", "/%6fnly/this", "/x/../only/./this",
                               "/only%2Fthis", "http://h/only/this", "HTTP://h:80/./only/this"}) {
        CAPTURE(target);
        CHECK(exchange_to_end(server, "GET " + std::string(target) +
                                          " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == later);
    }
    for (const char* target : {"/../x", "/%", "/%00", "/a/%2e%2e/%2e%2e"}) {
        CAPTURE(target);
        CHECK(exchange_to_end(server, "GET " + std::string(target) +
                                          " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") ==
              error("400 Bad Request", close_header));
    }
}

TEST_CASE("redirects, by host and with the rest of the path") {
    Server server(
        "[[module.http.route]]\nhost = \"old.org\"\npath = \"/\"\n"
        "redirect = { to = \"https://new.org/\", status = 308, keep_rest = true }\n"
        "[[module.http.route]]\npath = \"/\"\nredirect = { to = \"/start\" }\n");
    const auto location = [&](const std::string& host, const std::string& target) {
        const std::string reply = exchange_to_end(
            server, "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
        const std::size_t begin = reply.find("Location: ") + 10;
        return reply.substr(9, 4) + reply.substr(begin, reply.find("\r\n", begin) - begin);
    };
    CHECK(location("old.org:80", "/a%20b/%0d%0aX:?q=1") == "308 https://new.org/a%20b/%0D%0AX%3A?q=1");
    CHECK(location("other", "/a?q") == "302 /start");
    CHECK(responses(server, "3xx") == 2);
}

TEST_CASE("errors may have pages, and bytes are counted") {
    Server server("[[module.http.error_page]]\nstatus = 404\nbody = \"<p>gone\"\n");
    CHECK(exchange_to_end(server, get_close) ==
          "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 7\r\n" + close_header +
              "\r\n<p>gone");
    CHECK(server.count("drover_http_request_bytes_total") == get_close.size());
    CHECK(server.count("drover_http_response_bytes_total") ==
          std::string(
              "HTTP/1.1 404 Not Found\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/html\r\n"
              "Content-Length: 7\r\nConnection: close\r\n\r\n<p>gone")
              .size());
}

TEST_CASE("OPTIONS are told what there is") {
    Server server;
    for (const char* target : {"/", "*", "http://a/"}) {
        CHECK(exchange_to_end(server, "OPTIONS " + std::string(target) +
                                          " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") ==
              "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD\r\n" + close_header + "\r\n");
    }
}

TEST_CASE("a connection may outlive what its module serves from") {
    Server server;
    FixtureClient client(server);
    REQUIRE(client.send(get));
    REQUIRE(client.read_bytes(ok_size));
    REQUIRE(server.connection_count() == 1);
    server.module()->stop();
    CHECK(server.connection_count() == 1);  // and ends with the fixture
}
