// Answers that are made bit by bit, and files as a part of them.
#include "tests/modules/play_server.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("a streamed answer is chunked, of a length, or ends with the connection") {
    std::optional<std::uint64_t> length;
    bool short_of_it = false;
    Play actions{.handle = [&](const Request&, Response response) {
        response.type("a/b").begin(length);
        response.write("hello ");
        response.write("");
        if (!short_of_it) response.write(std::string(16, 'x'));
        response.end();
    }};
    PlayServer server(actions);
    const std::string body = "hello xxxxxxxxxxxxxxxx";
    const std::string start = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n";
    const std::string end = request_with("Connection: close\r\n");
    SUBCASE("chunked") {
        const std::string chunks = "6\r\nhello \r\n10\r\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n";
        CHECK(reply_of(server, request_with("") + end) ==
              start + "Transfer-Encoding: chunked\r\n\r\n" + chunks + start +
                  "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks);
    }
    SUBCASE("to 1.0") {
        CHECK(reply_of(server, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") ==
              start + "Connection: close\r\n\r\n" + body);
    }
    SUBCASE("to HEAD") {
        CHECK(reply_of(server, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + end) ==
              start + "Transfer-Encoding: chunked\r\n\r\n" + start +
                  "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n6\r\nhello \r\n10\r\n"
                  "xxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
    }
    SUBCASE("of a length") {
        length = body.size();
        CHECK(reply_of(server, request_with("") + end) ==
              start + "Content-Length: 22\r\n\r\n" + body + start +
                  "Content-Length: 22\r\nConnection: close\r\n\r\n" + body);
    }
    SUBCASE("shorter than was said: cut off, not mistaken for the whole") {
        length = body.size();
        short_of_it = true;
        FixtureClient client(server);
        REQUIRE(client.send(request_with("")));
        REQUIRE(client.read_to_end());
        CHECK(client.received().find("xxxx") == std::string::npos);
    }
}

TEST_CASE("a streamed answer that is let go in the middle is cut off") {
    Later later;
    PlayServer server(later.actions);
    FixtureClient client(server);
    REQUIRE(client.send(request_with("")));
    REQUIRE(server.run_until([&] { return !later.response.client_gone(); }));
    later.response.begin();
    later.response.write("part");
    REQUIRE(client.read_until([&] { return client.received().ends_with("4\r\npart\r\n"); }));
    later.response = Response();
    REQUIRE(client.read_to_end());
    CHECK(client.received().find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("a producer is held back by a slow reader, and goes on") {
    Later later;
    PlayServer server(later.actions);
    FixtureClient client(server);
    constexpr std::size_t total = 20'000'000;
    REQUIRE(client.send(request_with("Connection: close\r\n")));
    REQUIRE(server.run_until([&] { return !later.response.client_gone(); }));
    std::size_t written = 0;
    const std::string block(10'000, 'x');
    std::function<void()> produce = [&] {
        while (later.response.writable() && written < total) {
            later.response.write(block);
            written += block.size();
        }
        if (written == total) return later.response.end();
        later.response.on_writable(produce);
    };
    later.response.begin(total);
    produce();
    for (std::size_t before = SIZE_MAX; before != written;) {
        before = written;
        server.settle();
        server.settle();
    }
    CHECK(written < total);
    std::size_t received = 0;
    REQUIRE(client.read_until([&] {
        received += client.take_received().size();
        return client.ended();
    }));
    CHECK(received > total);
    CHECK(written == total);
}

TEST_CASE("a part of a file may be an answer, or a part of one") {
    UniqueFd memory(::memfd_create("file", MFD_CLOEXEC));
    const std::string contents(100'000, 'f');
    REQUIRE(::write(memory.get(), contents.data(), contents.size()) == 100'000);
    const auto file = std::make_shared<const UniqueFd>(std::move(memory));
    bool whole = true;
    Play actions{.handle = [&](const Request&, Response response) {
        if (whole) return response.send_file({file, 1, 99'999});
        response.begin();
        response.write_file({file, 0, 50'000});
        response.write_file({file, 0, 3});
        response.end();
    }};
    PlayServer server(actions);
    CHECK(reply_of(server, request_with("Connection: close\r\n")) ==
          "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\nConnection: close\r\n\r\n" + contents.substr(1));
    whole = false;
    CHECK(reply_of(server, request_with("Connection: close\r\n"))
              .ends_with("\r\n\r\nc350\r\n" + contents.substr(0, 50'000) + "\r\n3\r\nfff\r\n0\r\n\r\n"));
}

TEST_CASE("a worker that drains closes with the answer that is under way") {
    Later later;
    PlayServer server(later.actions);
    FixtureClient client(server);
    REQUIRE(client.send(request_with("")));
    REQUIRE(server.run_until([&] { return !later.response.client_gone(); }));
    server.drain();
    later.response.send("last");
    REQUIRE(client.read_to_end());
    CHECK(client.received().find(close_header) != std::string::npos);
}
