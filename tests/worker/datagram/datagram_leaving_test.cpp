// How udp sockets are left: to another worker, or with nobody after.
#include "tests/worker/datagram/datagram_server.h"
#include "tests/worker/datagram/full_socket.h"
#include "worker/datagram/datagram_socket.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("one that stops leaves what waits to the other one") {
    DatagramServer server;
    const UdpClient client(server.listener.address());
    DatagramSocket& leaving = server.socket();
    leaving.start();
    for (int i = 0; i < 70; ++i)
        REQUIRE(client.send("early"));
    leaving.stop();
    CHECK_FALSE(leaving.reading());
    CHECK_FALSE(leaving.finishing());
    server.loop.run_once(std::chrono::milliseconds(0));
    CHECK(server.handled == 0);
    leaving.close();
    server.add_socket().start();
    for (int i = 0; i < 70; ++i)
        CHECK(server.answer_to(client) == "early");
}

TEST_CASE("one that finishes reads what waits, in turns of the loop, and no more") {
    DatagramServer server;
    const UdpClient client(server.listener.address());
    DatagramSocket& last = server.socket();
    last.start();
    for (int i = 0; i < 70; ++i)
        REQUIRE(client.send("early"));
    last.finish();
    CHECK(server.handled == 0);
    CHECK_FALSE(last.reading());
    for (const unsigned handled : {32U, 64U, 70U}) {
        CHECK(last.finishing());
        REQUIRE(run_until(server.loop, [&] { return server.handled >= handled; }));
        CHECK(server.handled == handled);
    }
    CHECK_FALSE(last.finishing());
    REQUIRE(client.send("late"));
    server.loop.run_once(std::chrono::milliseconds(0));
    CHECK(server.handled == 70);
    for (int i = 0; i < 70; ++i)
        CHECK(server.answer_to(client) == "early");
}

TEST_CASE("one that finishes with an empty queue is done at once; an empty datagram is something") {
    DatagramServer server;
    const UdpClient client(server.listener.address());
    server.socket().start();
    server.socket().finish();
    CHECK_FALSE(server.socket().finishing());
    server.socket().start();
    REQUIRE(client.send(""));
    server.socket().finish();
    CHECK(server.socket().finishing());
    CHECK(server.answer_to(client).empty());
}

TEST_CASE("senders that never cease do not keep one that finishes") {
    DatagramServer server;
    const UdpClient client(server.listener.address());
    server.script = [&](const Datagram&) { return client.send("one more"); };
    server.socket().start();
    REQUIRE(client.send("one"));
    server.socket().finish();
    REQUIRE(run_until(server.loop, [&] { return !server.socket().finishing(); }));
    CHECK(server.handled >= DatagramSocket::finish_limit / DatagramSocket::batch);
    CHECK(server.handled <= DatagramSocket::finish_limit);
}

TEST_CASE("replies that wait when the socket is closed are counted as dropped") {
    DatagramServer server;
    const UdpClient client(server.listener.address());
    server.script = [&](const Datagram& datagram) { return datagram.reply("one") && datagram.reply("two"); };
    server.socket().start();
    REQUIRE(client.send("?"));
    const FullSocket full;
    REQUIRE(run_until(server.loop, [&] { return server.handled == 1; }));
    CHECK(server.cells[6] == 0);
    server.socket().close();
    CHECK(server.cells[6] == 2);
    CHECK(server.cells[2] == 0);
}
