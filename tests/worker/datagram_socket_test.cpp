#include "worker/datagram_socket.h"

#include "core/listener.h"
#include "tests/support/run_until.h"
#include "tests/support/udp_client.h"
#include "tests/worker/full_socket.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;
using namespace drover::test;

namespace {

struct CountingThread {
    CountingThread() { detail::counting_thread = true; }
    ~CountingThread() { detail::counting_thread = false; }
};

// A udp listener and the workers' ends of it; what comes is answered with itself unless a test says
// otherwise.
struct Server {
    explicit Server(const std::string& address = "udp:127.0.0.1:0", const ListenerOptions& options = {})
        : listener(Listener::bind(Address::parse(address), options, 1)) {
        add_socket();
    }
    ~Server() {
        for (const auto& socket : sockets)
            socket->close();
    }

    DatagramSocket& add_socket(std::size_t max_datagram = 65536) {
        sockets.push_back(std::make_shared<DatagramSocket>(
            loop, UniqueFd(::fcntl(listener.socket_for(0), F_DUPFD_CLOEXEC, 0)), buffer,
            DatagramSocket::Handler::to<&Server::handle>(this)));
        sockets.back()->configure(7, max_datagram, counters());
        return *sockets.back();
    }
    DatagramSocket& socket() { return *sockets.front(); }
    DatagramCounters counters() {
        return {.received = Counter(&cells[0]),
                .received_bytes = Counter(&cells[1]),
                .sent = Counter(&cells[2]),
                .sent_bytes = Counter(&cells[3]),
                .truncated = Counter(&cells[4]),
                .failed = Counter(&cells[5]),
                .replies_dropped = Counter(&cells[6])};
    }
    bool handle(const Datagram& datagram) {
        ++handled;
        return script(datagram);
    }
    Address place(const std::string& host) const {
        return Address::parse("udp:" + host + ":" + std::to_string(listener.address().port()));
    }
    // What the client gets while the loop runs.
    std::string answer_to(const UdpClient& client) {
        std::optional<std::string> answer;
        const bool came = run_until(loop, [&] { return (answer = client.take()).has_value(); });
        return came ? *answer : "no answer";
    }

    CountingThread counting;
    EventLoop loop;
    Listener listener;
    DatagramBuffer buffer;
    std::uint64_t cells[7] = {};
    unsigned handled = 0;
    std::function<bool(const Datagram&)> script = [](const Datagram& datagram) {
        datagram.reply(datagram.payload());
        return true;
    };
    std::vector<std::shared_ptr<DatagramSocket>> sockets;
};

}  // namespace

TEST_CASE("datagrams come with who sent them and where to, and each reply arrives") {
    Server server;
    const UdpClient client(server.listener.address());
    Address peer;
    Address local;
    unsigned listener = 0;
    server.script = [&](const Datagram& datagram) {
        peer = datagram.peer_address();
        local = datagram.local_address();
        listener = datagram.listener();
        return datagram.reply("one") && datagram.reply("") && datagram.reply(datagram.payload());
    };
    REQUIRE(client.send("hello"));
    server.socket().start();
    CHECK(server.answer_to(client) == "one");
    CHECK(server.answer_to(client).empty());
    CHECK(server.answer_to(client) == "hello");
    CHECK(peer == client.address());
    CHECK(local == server.listener.address());
    CHECK(listener == 7);
    CHECK(server.cells[0] == 1);
    CHECK(server.cells[1] == 5);
    CHECK(server.cells[2] == 3);
    CHECK(server.cells[3] == 8);
    CHECK(server.cells[5] == 0);
}

TEST_CASE("an empty datagram is one, too") {
    Server server;
    const UdpClient client(server.listener.address());
    server.socket().start();
    REQUIRE(client.send(""));
    CHECK(server.answer_to(client).empty());
    CHECK(server.handled == 1);
}

TEST_CASE("a turn takes a bounded number, and nothing stays behind") {
    Server server;
    const UdpClient client(server.listener.address());
    for (int i = 0; i < 100; ++i)
        REQUIRE(client.send(std::to_string(i)));
    server.socket().start();
    server.loop.run_once(std::chrono::milliseconds(0));
    CHECK(server.handled == DatagramSocket::batch);
    for (int i = 0; i < 100; ++i)
        CHECK(server.answer_to(client) == std::to_string(i));
    CHECK(server.handled == 100);
}

TEST_CASE("on a wildcard socket the reply leaves from the address that was asked") {
    struct Case {
        const char* bound;
        bool ipv6_only;
        std::vector<const char*> asked;
    };
    const std::vector<Case> cases{{"udp:*:0", true, {"127.0.0.1", "127.0.0.2", "127.9.9.9"}},
                                  {"udp:[::]:0", true, {"[::1]"}},
                                  {"udp:[::]:0", false, {"[::1]", "127.0.0.1", "127.0.0.2"}}};
    for (const Case& each : cases) {
        Server server(each.bound, {.ipv6_only = each.ipv6_only});
        std::string local;
        ReturnAddress later;
        server.script = [&](const Datagram& datagram) {
            local = datagram.local_address().text();
            later = datagram.return_address();
            return datagram.reply("now");
        };
        server.socket().start();
        for (const std::string host : each.asked) {
            const UdpClient client(server.place(host));  // hears this address alone
            REQUIRE(client.send("?"));
            CHECK(server.answer_to(client) == "now");
            CHECK(later.reply("later"));
            CHECK(server.answer_to(client) == "later");
            const bool mapped = host.front() != '[' && std::string(each.bound) == "udp:[::]:0";
            const std::string port = std::to_string(server.listener.address().port());
            CHECK(local == "udp:" + (mapped ? "[::ffff:" + host + "]" : host) + ":" + port);
        }
        later = {};
    }
}

TEST_CASE("a datagram that is too long is counted, never delivered cut") {
    Server server;
    server.socket().configure(7, 512, server.counters());
    const UdpClient client(server.listener.address());
    server.socket().start();
    REQUIRE(client.send(std::string(513, 'x')));
    REQUIRE(client.send(std::string(512, 'y')));
    CHECK(server.answer_to(client) == std::string(512, 'y'));
    CHECK(server.handled == 1);
    CHECK(server.cells[0] == 1);
    CHECK(server.cells[4] == 1);
}

TEST_CASE("the longest datagram that there is goes both ways") {
    Server server;
    const UdpClient client(server.listener.address());
    server.socket().start();
    const std::string longest(65'507, 'z');
    REQUIRE(client.send(longest));
    CHECK(server.answer_to(client) == longest);
    CHECK(server.cells[4] == 0);
}

TEST_CASE("replies come later, in any number, until the socket is closed") {
    Server server;
    const UdpClient client(server.listener.address());
    std::vector<ReturnAddress> kept;
    server.script = [&](const Datagram& datagram) {
        kept.push_back(datagram.return_address());
        return true;
    };
    server.socket().start();
    CHECK_FALSE(server.socket().owes_replies());
    REQUIRE(client.send("?"));
    REQUIRE(run_until(server.loop, [&] { return !kept.empty(); }));
    CHECK(server.socket().owes_replies());
    kept.push_back(kept.front());
    CHECK(kept[1].peer_address() == client.address());
    CHECK(kept[1].reply("one"));
    server.socket().finish();  // it reads no more, and can still answer
    CHECK(kept[0].reply("two"));
    CHECK(client.receive() == "one");
    CHECK(client.receive() == "two");
    kept.clear();
    CHECK_FALSE(server.socket().owes_replies());

    REQUIRE(client.send("?"));
    server.socket().start();
    REQUIRE(run_until(server.loop, [&] { return !kept.empty(); }));
    server.socket().close();
    CHECK_FALSE(kept[0].reply("three"));
    CHECK_FALSE(server.socket().owes_replies());
    CHECK_FALSE(ReturnAddress().reply("to nobody"));
}

TEST_CASE("while replies wait nothing is read; beyond the limit they are dropped and counted") {
    Server server;
    const UdpClient client(server.listener.address());
    ReturnAddress to;
    server.script = [&](const Datagram& datagram) {
        to = datagram.return_address();
        return datagram.reply(datagram.payload());
    };
    REQUIRE(client.send("first"));
    server.socket().start();
    {
        const FullSocket full;
        REQUIRE(run_until(server.loop, [&] { return server.handled == 1; }));
        REQUIRE(client.send("second"));
        for (int round = 0; round < 5; ++round)
            server.loop.run_once(std::chrono::milliseconds(0));
        CHECK(server.handled == 1);
        for (std::size_t i = 1; i < DatagramOutput::max_replies; ++i)
            REQUIRE(to.reply("more"));
        CHECK_FALSE(to.reply("one too many"));
        CHECK(server.cells[6] == 1);
        CHECK(server.cells[2] == 0);
        CHECK(server.socket().owes_replies());
    }
    CHECK(server.answer_to(client) == "first");
    for (std::size_t i = 1; i < DatagramOutput::max_replies; ++i)
        REQUIRE(server.answer_to(client) == "more");
    CHECK(server.answer_to(client) == "second");
    CHECK(server.cells[6] == 1);
    CHECK(server.cells[2] == DatagramOutput::max_replies + 1);
}

TEST_CASE("a turn with more replies than have room together sends in between") {
    Server server;
    const UdpClient client(server.listener.address());
    const std::string large(30'000, 'x');
    server.script = [&](const Datagram& datagram) {
        for (int i = 0; i < 20; ++i) {
            if (!datagram.reply(large)) return false;
        }
        return true;
    };
    REQUIRE(client.send("?"));
    server.socket().start();
    REQUIRE(run_until(server.loop, [&] { return server.handled == 1; }));
    CHECK(server.cells[2] == 20);
    CHECK(server.cells[6] == 0);
}

TEST_CASE("a client that is gone stops nothing") {
    Server server;
    const UdpClient client(server.listener.address());
    server.socket().start();
    for (int round = 0; round < 5; ++round) {
        {
            const UdpClient gone(server.listener.address());
            REQUIRE(gone.send("ping"));
        }
        REQUIRE(client.send("still there?"));
        CHECK(server.answer_to(client) == "still there?");
    }
    CHECK(server.handled == 10);
}

TEST_CASE("what a handler cannot take is counted, and the next comes") {
    Server server;
    const UdpClient client(server.listener.address());
    server.script = [&](const Datagram& datagram) {
        return datagram.payload() != "bad" && datagram.reply(datagram.payload());
    };
    server.socket().start();
    REQUIRE(client.send("bad"));
    REQUIRE(client.send("good"));
    CHECK(server.answer_to(client) == "good");
    CHECK(server.cells[0] == 2);
    CHECK(server.cells[5] == 1);
}

TEST_CASE("one that finishes reads what waits and no more; the other one goes on") {
    Server server;
    const UdpClient client(server.listener.address());
    DatagramSocket& leaving = server.socket();
    leaving.start();
    for (int i = 0; i < 70; ++i)
        REQUIRE(client.send("early"));
    leaving.finish();
    CHECK_FALSE(leaving.reading());
    CHECK(server.handled == 70);
    REQUIRE(client.send("late"));
    server.loop.run_once(std::chrono::milliseconds(0));
    CHECK(server.handled == 70);
    leaving.close();
    server.add_socket().start();
    for (int i = 0; i < 70; ++i)
        CHECK(server.answer_to(client) == "early");
    CHECK(server.answer_to(client) == "late");
}
