#include "worker/datagram/datagram_socket.h"

#include "tests/worker/datagram/datagram_server.h"
#include "tests/worker/datagram/full_socket.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("datagrams come with who sent them and where to, and each reply arrives") {
    DatagramServer server;
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
    DatagramServer server;
    const UdpClient client(server.listener.address());
    server.socket().start();
    REQUIRE(client.send(""));
    CHECK(server.answer_to(client).empty());
    CHECK(server.handled == 1);
}

TEST_CASE("a turn takes a bounded number, and nothing stays behind") {
    DatagramServer server;
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
        DatagramServer server(each.bound, {.ipv6_only = each.ipv6_only});
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
            const std::string port = std::to_string(server.listener.address().port());
            CHECK(local == "udp:" + host + ":" + port);
        }
        later = {};
    }
}

TEST_CASE("a datagram that is too long is counted, never delivered cut") {
    DatagramServer server;
    server.socket().configure(
        {.listener = 7, .max_datagram = 512, .counters = server.counters(), .configuration = {}});
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
    DatagramServer server;
    const UdpClient client(server.listener.address());
    server.socket().start();
    const std::string longest(65'507, 'z');
    REQUIRE(client.send(longest));
    CHECK(server.answer_to(client) == longest);
    CHECK(server.cells[4] == 0);
}

TEST_CASE("replies come later, in any number, until the socket is closed") {
    DatagramServer server;
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
    server.socket().stop();  // it reads no more, and can still answer
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
    DatagramServer server;
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
    DatagramServer server;
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
    DatagramServer server;
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
    DatagramServer server;
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

TEST_CASE("a reply that cannot leave says so: too long, or refused by the kernel") {
    DatagramServer server;
    const UdpClient client(server.listener.address());
    ReturnAddress later;
    bool too_long = true;
    server.script = [&](const Datagram& datagram) {
        later = datagram.return_address();
        too_long = datagram.reply(std::string(65'508, 'x'));
        return datagram.reply("fine");
    };
    server.socket().start();
    REQUIRE(client.send("?"));
    CHECK(server.answer_to(client) == "fine");
    CHECK_FALSE(too_long);
    CHECK(server.cells[6] == 1);
    CHECK_FALSE(later.reply(std::string(65'508, 'x')));
    CHECK(server.cells[6] == 2);
    {
        const RefusingSocket refusing;
        CHECK_FALSE(later.reply("a firewall"));
        CHECK(server.cells[6] == 3);
    }
    CHECK(later.reply("again"));
    CHECK(server.answer_to(client) == "again");
    CHECK(server.cells[2] == 2);
}

TEST_CASE("a broadcast is answered from an address of this machine, by a socket for both families, too") {
    for (const char* const bound : {"udp:*:0", "udp:[::]:0"}) {
        DatagramServer server(bound, {.ipv6_only = false});
        server.socket().start();
        const UniqueFd client(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const int yes = 1;
        REQUIRE(::setsockopt(client.get(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes) == 0);
        const Address everybody = server.place("127.255.255.255");
        REQUIRE(::sendto(client.get(), "?", 1, 0, everybody.data(), everybody.size()) == 1);
        sockaddr_in from{};
        const bool came = run_until(server.loop, [&] {
            char byte = 0;
            socklen_t size = sizeof from;
            return ::recvfrom(client.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) == 1;
        });
        CHECK(came);
        CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
        CHECK(server.cells[2] == 1);
    }
}
