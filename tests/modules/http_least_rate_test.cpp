// min_rate: a client that is waited for must move so many bytes a second.
#include "modules/http/least_rate.h"
#include "tests/modules/play_server.h"
#include "tests/support/temporary_folder.h"
#include "worker/handover/handover_giver.h"
#include "worker/handover/handover_receiver.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <sys/socket.h>

using namespace drover;
using namespace drover::test;
using namespace drover::http;
using namespace std::chrono_literals;

namespace {

// Other limits are out of the way.
struct PatientServer : WorkerFixture {
    explicit PatientServer(Play& actions, unsigned min_rate = 240)
        : WorkerFixture((play = &actions, play_modules), "http",
                        "[module.http]\nbody_timeout = \"10m\"\nsend_timeout = \"10m\"\nmax_body = \"10M\"\n"
                        "min_rate = " +
                            std::to_string(min_rate) +
                            "\n[[module.http.route]]\npath = \"/\"\nhandler = \"play\"\n") {}

    bool closed() {
        settle();
        return connection_count() == 0;
    }
};

Play send_large() {
    return {.handle = [](const Request&, Response response) {
        std::string large;
        large.resize(40'000'000, 'x');
        response.send(large);
    }};
}

// A second passes, in which the client sends that much; whether the connection is still there.
bool send_for_a_second(PatientServer& server, FixtureClient& client, std::size_t size) {
    const std::string piece(size, 'x');
    std::string_view bytes = piece;
    client.send_some(bytes);
    server.settle();
    server.pass(1s);
    return !server.closed();
}

// Has little room, so that what the worker sends is not far ahead of what is read.
struct SlowReader : FixtureClient {
    explicit SlowReader(PatientServer& server) : FixtureClient(server, 4096), server_(server) {}
    bool read_for_a_second(std::size_t size) {
        std::string buffer(size, '\0');
        (void)::recv(fd(), buffer.data(), size, 0);
        server_.settle();
        server_.pass(1s);
        return !server_.closed();
    }
    // How many seconds of at most `most` it is not cut off.
    int lasts(std::size_t bytes_a_second, int most) {
        int seconds = 0;
        while (seconds < most && read_for_a_second(bytes_a_second))
            ++seconds;
        return seconds;
    }

  private:
    PatientServer& server_;
};

const std::string long_post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n";

}  // namespace

TEST_CASE("the time that bytes buy") {
    LeastRate rate(100s);
    CHECK(rate.left(100s) == 5s);
    CHECK(rate.left(105s) == 0s);
    rate.add(240, 240, 101s, 60s);
    CHECK(rate.left(101s) == 5s);
    rate.add(1'000'000, 240, 101s, 60s);
    CHECK(rate.left(101s) == 60s);
    rate.pause(111s);
    rate.pause(112s);
    rate.resume(200s);
    rate.resume(201s);
    CHECK(rate.left(200s) == 50s);
    rate.add(UINT64_MAX, 1, 200s, 60s);
    CHECK(rate.left(200s) == 60s);
    rate.add(0, 1, 300s, 60s);
    CHECK(rate.left(300s) < 0s);
}

TEST_CASE("a body that trickles is answered 408, one that is fast enough is taken") {
    Play actions{.handle = [](const Request& request, Response response) {
        response.send(std::to_string(request.body().size()));
    }};
    PatientServer server(actions);
    FixtureClient client(server);
    REQUIRE(client.send(long_post));
    SUBCASE("a byte a second") {
        int seconds = 0;
        while (seconds < 60 && !client.ended()) {
            send_for_a_second(server, client, 1);
            client.read();
            ++seconds;
        }
        CHECK(seconds >= 5);
        CHECK(seconds <= 7);
        CHECK(client.received().starts_with("HTTP/1.1 408 "));
    }
    SUBCASE("a little more than the least") {
        for (int second = 0; second < 36; ++second)
            REQUIRE(send_for_a_second(server, client, 250));
        REQUIRE(client.read_until([&] { return client.received().ends_with("\r\n\r\n9000"); }));
    }
    SUBCASE("fast first, then not at all: what it has earned is bounded, and is its own") {
        REQUIRE(client.send(std::string(4800, 'x')));
        server.settle();
        server.pass(20s);
        client.read();
        CHECK_FALSE(client.ended());
        server.pass(10s);
        REQUIRE(client.read_to_end());
        CHECK(client.received().starts_with("HTTP/1.1 408 "));
    }
}

TEST_CASE("with min_rate 0 a body may trickle") {
    Play actions{.handle = [](const Request&, Response response) { response.send("x"); }};
    PatientServer server(actions, 0);
    FixtureClient client(server);
    REQUIRE(client.send(long_post));
    for (int second = 0; second < 60; ++second)
        REQUIRE(send_for_a_second(server, client, 1));
}

TEST_CASE("time in which the client is not waited for does not count") {
    Later later;
    struct Receiver final : BodyReceiver {
        Response response;
        std::size_t taken = 0;
        Next on_body(std::string_view piece) override {
            taken += piece.size();
            return Next::pause;
        }
        void on_body_end() override { response.send("done"); }
    };
    Receiver* receiver = nullptr;
    later.actions.receive = [&](const Request& request, Response& given) -> std::unique_ptr<BodyReceiver> {
        if (request.method() != "POST") return nullptr;
        auto made = std::make_unique<Receiver>();
        made->response = std::move(given);
        receiver = made.get();
        return made;
    };
    PatientServer server(later.actions);
    FixtureClient client(server);
    SUBCASE("a receiver pauses; its client has no more time for that than it had") {
        REQUIRE(client.send(long_post + "x"));
        server.settle();
        for (int round = 0; round < 3; ++round) {
            server.pass(100s);
            CHECK(server.connection_count() == 1);
            receiver->response.resume_body();
            server.pass(1s);
            std::string_view one = "x";
            REQUIRE(client.send_some(one));
            server.settle();
        }
        CHECK(receiver->taken == 4);
        receiver->response.resume_body();
        server.pass(1s);
        CHECK(server.connection_count() == 1);
        server.pass(2s);
        REQUIRE(client.read_to_end());
        CHECK(client.received().starts_with("HTTP/1.1 408 "));
    }
    SUBCASE("a handler works, and streams now and then") {
        REQUIRE(client.send(request_with("")));
        server.settle();
        server.pass(100s);
        later.response.begin();
        for (int event = 0; event < 5; ++event) {
            later.response.write("x");
            server.settle();
            server.pass(100s);
        }
        later.response.end();
        REQUIRE(client.read_until([&] { return client.received().ends_with("0\r\n\r\n"); }));
    }
}

TEST_CASE("a reader that takes a byte a second is cut off, a slow one that is fast enough is not") {
    Play actions = send_large();
    std::string request = request_with("");
    unsigned min_rate = 240;
    int least = 5;
    int most = 45;
    std::size_t bytes_a_second = 1;
    SUBCASE("a byte a second") {}
    SUBCASE("the connection is to close") {
        request = request_with("Connection: close\r\n");
    }
    SUBCASE("nothing at all") {
        bytes_a_second = 0;
    }
    SUBCASE("4 KB a second") {
        bytes_a_second = 4000;
        least = most = 200;
    }
    SUBCASE("no least rate") {
        min_rate = 0;
        least = most = 200;
    }
    PatientServer server(actions, min_rate);
    SlowReader client(server);
    REQUIRE(client.send(request));
    server.settle();
    const int seconds = client.lasts(bytes_a_second, least == most ? most : 300);
    CHECK(seconds >= least);
    CHECK(seconds <= most);
    if (least != most) CHECK(server.count("drover_http_responses_aborted_total") == 1);
}

namespace {

// Serves one large file, and gives its connections to another worker.
struct FileServer : WorkerFixture {
    explicit FileServer(const TemporaryFolder& folder)
        : WorkerFixture(all_modules(), "http",
                        "[module.http]\nsend_timeout = \"10m\"\nmin_rate = 240\n"
                        "[[module.http.route]]\npath = \"/\"\nroot = \"" +
                            folder.path() + "\"\n") {}

    bool give_all_to(FileServer& next) {
        auto [give, take] = Channel::make_pair();
        HandoverGiver giver(services().loop, services().connections, {"127.0.0.1:0 http"});
        giver.add_receiver(std::move(give));
        const HandoverReceiver receiver(
            next.services().loop, next.services().connections, std::move(take),
            [&](std::string_view) {
                return HandoverReceiver::Target{next.module(), 0, AF_INET};
            },
            HandoverReceiver::EndHandler());
        giver.start();
        return run_until([&] {
            next.settle();
            return connection_count() == 0 && next.connection_count() == 1;
        });
    }
};

}  // namespace

TEST_CASE("what a slow reader has left goes on in the worker that takes its connection over") {
    const TemporaryFolder folder;
    std::ofstream(folder.path() + "/large").put('x');
    std::filesystem::resize_file(folder.path() + "/large", 40'000'000);
    auto server = std::make_unique<FileServer>(folder);
    FixtureClient client(*server, 4096);
    std::size_t bytes_a_second = 1;
    int least = 5;  // LeastRate::grace
    int most = 45;
    SUBCASE("a byte a second") {}
    SUBCASE("4 KB a second") {
        bytes_a_second = 4000;
        least = most = 100;
    }
    REQUIRE(client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"));
    server->settle();
    int seconds = 0;
    for (; seconds < 100 && server->connection_count() == 1; ++seconds) {
        if (seconds % 3 == 2) {  // sooner than a time limit passes
            auto next = std::make_unique<FileServer>(folder);
            REQUIRE(server->give_all_to(*next));
            server = std::move(next);
        }
        std::string buffer(bytes_a_second, '\0');
        (void)::recv(client.fd(), buffer.data(), buffer.size(), 0);
        server->settle();
        server->pass(1s);
        server->settle();
    }
    CHECK(seconds >= least);
    CHECK(seconds <= most);
}
