// Replies are logged and counted when they have left, with the bytes that left, each for its own request.
#include "modules/http/http_connection.h"
#include "modules/http/http_options.h"
#include "tests/modules/play_server.h"
#include "tests/support/temporary_folder.h"
#include "worker/stream/connection_list.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;
using namespace drover::http;

namespace {

// A server whose route "/" is played, with an access log.
struct LoggedServer : TemporaryFolder, WorkerFixture {
    explicit LoggedServer(Play& actions, const std::string& format = "{request} {status} {bytes} {aborted}")
        : WorkerFixture((play = &actions, play_modules), "http", options(file("log"), format)) {}

    static std::string options(const std::string& log, const std::string& format) {
        return limits + "access_log = \"" + log + "\"\naccess_log_format = '" + format +
               "'\n[[module.http.route]]\npath = \"/\"\nhandler = \"play\"\n"
               "[[module.http.route]]\npath = \"/fixed\"\nreturn = { body = \"hello\\n\" }\n";
    }
    // Its first `count` lines.
    std::string lines(std::size_t count) {
        std::string text;
        REQUIRE(run_until([&] {
            std::ostringstream read;
            read << std::ifstream(file("log")).rdbuf();
            text = read.str();
            return occurrences(text, "\n") >= count;
        }));
        return text;
    }
    std::uint64_t aborted() const { return count("drover_http_responses_aborted_total"); }
    std::uint64_t complete() const { return count("drover_http_responses_total"); }
};

std::string ask_for(const std::string& target, const std::string& body = "") {
    return "POST " + target + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("a reply of which a client takes a part is logged when it ends, with what has left") {
    Play actions{.handle = [](const Request&, Response response) {
        std::string large;
        large.resize(60'000'000, 'x');
        response.send(large);
    }};
    LoggedServer server(actions, "{target} {status} {bytes} {bytes_sent} {aborted} {peer}");
    FixtureClient client(server);
    REQUIRE(client.send(request_with("")));
    REQUIRE(client.read_bytes(1));
    server.settle();
    CHECK(server.complete() == 0);
    CHECK(server.count("drover_http_response_bytes_total") == 0);
    client.close();
    std::istringstream line(server.lines(1));
    std::string target, aborted, peer;
    std::uint64_t status = 0, bytes = 0, bytes_sent = 0;
    line >> target >> status >> bytes >> bytes_sent >> aborted >> peer;
    CHECK(target == "/a%20b?x=1");
    CHECK(status == 200);
    CHECK(bytes >= client.received().size() - 100);
    CHECK(bytes < 60'000'000);
    CHECK(bytes_sent > bytes);
    CHECK(bytes_sent == server.count("drover_http_response_bytes_total"));
    CHECK(aborted == "aborted");
    CHECK(peer == "127.0.0.1");
    CHECK(server.aborted() == 1);
    CHECK(server.complete() == 0);
}

TEST_CASE("a request whose client goes before an answer is logged as 499, aborted") {
    Later later;
    LoggedServer server(later.actions, "{request} {status} {bytes} {aborted} {peer}");
    FixtureClient client(server);
    REQUIRE(client.send(request_with("")));
    server.settle();
    client.close();
    SUBCASE("while a handler works") {
        REQUIRE(server.run_until([&] { return later.response.client_gone(); }));
        // It cannot be told from one that still reads; what is sent meets a reset.
        later.response.begin();
        REQUIRE(server.run_until([&] {
            later.response.write(std::string(1000, 'x'));
            return server.connection_count() == 0;
        }));
        CHECK(server.lines(1).find(" 200 ") != std::string::npos);
    }
    SUBCASE("and the worker ends") {
        server.services().connections.abort_all();
        CHECK(server.lines(1) == "GET /a%20b?x=1 HTTP/1.1 499 0 aborted 127.0.0.1\n");
    }
    CHECK(server.lines(1).ends_with(" aborted 127.0.0.1\n"));
    CHECK(server.aborted() == 1);
    CHECK(server.complete() == 0);
}

TEST_CASE("a body that does not come to its end is a request that is aborted") {
    Play actions{.handle = [](const Request&, Response response) { response.send("x"); }};
    LoggedServer server(actions);
    FixtureClient client(server);
    REQUIRE(client.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123"));
    server.settle();
    client.close();
    CHECK(server.lines(1) == "POST /b HTTP/1.1 499 0 aborted\n");
    CHECK(server.aborted() == 1);
}

TEST_CASE("an answer that is let go in the middle is aborted, with the bytes that left") {
    Later later;
    LoggedServer server(later.actions);
    FixtureClient client(server);
    REQUIRE(client.send(request_with("")));
    REQUIRE(server.run_until([&] { return later.response.writable(); }));
    later.response.begin(10);
    later.response.write("12345");
    REQUIRE(client.read_until([&] { return client.received().ends_with("12345"); }));
    later.response = Response();
    CHECK(server.lines(1) == "GET /a%20b?x=1 HTTP/1.1 200 5 aborted\n");
    CHECK(server.aborted() == 1);
    CHECK(server.count("drover_http_response_bytes_total") == client.received().size());
}

TEST_CASE("framing and what came before the answer are bytes of it") {
    Play actions{.handle = [](const Request& request, Response response) {
        response.begin();
        response.write(request.body());
        response.end();
    }};
    LoggedServer server(actions);
    FixtureClient client(server);
    REQUIRE(client.send("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
    REQUIRE(client.read_until([&] { return client.received().ends_with("\r\n\r\n"); }));
    REQUIRE(client.send("abc"));
    REQUIRE(client.read_until([&] { return client.received().ends_with("0\r\n\r\n"); }));
    CHECK(server.lines(1) == "POST /c HTTP/1.1 200 13 -\n");
    CHECK(server.count("drover_http_response_bytes_total") == client.received().size());
}

TEST_CASE("each line says its own request, however the requests came") {
    Play actions{.handle = [](const Request&, Response response) { response.send("x"); }};
    LoggedServer server(actions, "{method} {target} {header:n}");
    FixtureClient client(server);
    std::string requests;
    std::string expected;
    for (int index = 0; index < 50; ++index) {
        const std::string number = std::to_string(index);
        const std::string path = (index % 3 == 0 ? "/fixed/" : "/") + number;
        requests += index % 2 == 0 ? ask_for(path, "body")
                                   : "GET " + path + " HTTP/1.1\r\nHost: a\r\nN: " + number + "\r\n\r\n";
        expected +=
            (index % 2 == 0 ? "POST " : "GET ") + path + (index % 2 == 0 ? " -" : " " + number) + "\n";
    }
    SUBCASE("all at once") {
        REQUIRE(client.send(requests));
    }
    SUBCASE("in pieces") {
        for (std::size_t at = 0; at < requests.size(); at += 37) {
            REQUIRE(client.send(std::string_view(requests).substr(at, 37)));
            server.settle();
        }
    }
    CHECK(server.lines(50) == expected);
    CHECK(server.complete() == 50);
    CHECK(server.aborted() == 0);
}

TEST_CASE("of pipelined replies those that left are complete, the others aborted") {
    Play actions{.handle = [](const Request& request, Response response) {
        response.send(std::string(request.path() == "/large" ? 8'000'000 : 10, 'x'));
    }};
    LoggedServer server(actions);
    FixtureClient client(server);
    REQUIRE(
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /large HTTP/1.1\r\nHost: a\r\n\r\n"
                    "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(server.lines(1) == "GET /a HTTP/1.1 200 10 -\n");
    client.close();
    const std::string lines = server.lines(2);
    CHECK(lines.find("GET /large HTTP/1.1 200 ") != std::string::npos);
    CHECK(lines.find("GET /b") == std::string::npos);  // its turn never came
    CHECK(lines.ends_with(" aborted\n"));
    CHECK(server.complete() == 1);
    CHECK(server.aborted() == 1);
}

TEST_CASE("replies that wait travel with their connection") {
    WaitingReplies waiting;
    const std::string fields(10'000, 'f');
    waiting.add({.label = 7, .began_us = 8, .size = 100, .head_size = 20, .count = 3, .status = 200});
    waiting.add({.label = 9,
                 .size = 1000,
                 .head_size = 50,
                 .status = 404,
                 .logged = true,
                 .request = {.method = "GET", .target = "/t", .host = "h", .fields = "A: b\r\n" + fields}});
    std::string state;
    waiting.delivered = 5;
    REQUIRE(waiting.append_to(state, LeastRate::Time(2000)));
    WaitingReplies arrived;
    arrived.take_from(state);
    CHECK(arrived.written() == 1300);
    CHECK(arrived.delivered == 5);
    CHECK(arrived.rate.left(LeastRate::Time(0)) == LeastRate::Time(3000));
    std::vector<std::string> ended;
    const auto finish = [&](const UnsentReply& reply, std::uint64_t sent) {
        ended.push_back(std::to_string(reply.label) + " " + std::string(reply.request.target) +
                        std::string(reply.request.fields) + " " + std::to_string(sent));
    };
    arrived.settle(299, false, finish);
    CHECK(ended.empty());
    arrived.settle(300, false, finish);
    CHECK(ended == std::vector<std::string>{"7  300"});
    arrived.settle(350, true, finish);
    // Headers that are very long do not travel whole.
    CHECK(ended.back() == "9 /tA: b\r\n 50");
    CHECK(arrived.empty());
    for (std::size_t size = 1; size < state.size(); ++size) {
        if (size == 24 || size == 24 + 56) continue;  // no record, or the first one alone
        WaitingReplies torn;
        CHECK_THROWS_AS(torn.take_from(std::string_view(state).substr(0, size)), std::runtime_error);
    }
}

namespace {

// A hand-over's state of replies of 300 and 1000 bytes.
struct ForgedState {
    std::uint64_t first = 0;
    std::uint64_t delivered = 0;
    std::int64_t rate_left_ms = 0;
    std::uint64_t size = 0;  // of each of the first three; 0: as they were

    bool is_taken() const {
        WaitingReplies waiting;
        waiting.add({.size = 100, .count = 3, .status = 200});
        waiting.add({.size = 1000, .status = 404, .logged = true});
        std::string state;
        REQUIRE(waiting.append_to(state, LeastRate::Time(0)));
        const auto forge = [&](std::size_t at, const auto& value) {
            std::memcpy(state.data() + at, &value, sizeof value);
        };
        forge(0, first);
        forge(8, delivered);
        forge(16, rate_left_ms);
        if (size != 0) forge(24 + 16, size);
        WaitingReplies arrived;
        try {
            arrived.take_from(state);
        } catch (const std::runtime_error&) {
            return false;
        }
        return true;
    }
};

}  // namespace

TEST_CASE("replies that no worker can have handed over are refused") {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    constexpr std::uint64_t max_written = 1ULL << 62;
    CHECK(ForgedState{.first = 5, .delivered = 1305}.is_taken());
    CHECK_FALSE(ForgedState{.first = 5, .delivered = 1306}.is_taken());
    CHECK_FALSE(ForgedState{.delivered = most}.is_taken());
    CHECK(ForgedState{.first = max_written - 1300}.is_taken());
    for (const std::uint64_t first : {max_written - 1299, max_written, max_written + 1, most - 1299, most})
        CHECK_FALSE(ForgedState{.first = first}.is_taken());
    CHECK_FALSE(ForgedState{.size = most / 3 + 1}.is_taken());
    CHECK_FALSE(ForgedState{.size = max_written / 3}.is_taken());

    using Limits = std::numeric_limits<std::int64_t>;
    constexpr std::int64_t most_ms = HttpOptions::max_send_timeout_ms;
    constexpr std::int64_t year_ms = 365LL * 24 * 60 * 60 * 1000;
    for (const std::int64_t left : {-30 * year_ms, std::int64_t(0), most_ms})
        CHECK(ForgedState{.rate_left_ms = left}.is_taken());
    for (const std::int64_t left : {Limits::min(), -101 * year_ms, most_ms + 1, Limits::max()})
        CHECK_FALSE(ForgedState{.rate_left_ms = left}.is_taken());
}

TEST_CASE("a connection that has more time to send than any configuration gives is refused") {
    const auto state_with = [](std::uint32_t send_left_ms) {
        std::string state{char(4), static_cast<char>(HttpConnection::Phase::idle)};
        state.append(8, '\0');
        state.append(reinterpret_cast<const char*>(&send_left_ms), sizeof send_left_ms);
        return state;
    };
    constexpr std::uint32_t most = HttpOptions::max_send_timeout_ms;
    CHECK(HttpConnection::carried(state_with(most)).send_left_ms == most);
    CHECK_THROWS_AS(HttpConnection::carried(state_with(most + 1)), std::runtime_error);
    CHECK_THROWS_AS(HttpConnection::carried(state_with(0xffffffff)), std::runtime_error);
}
