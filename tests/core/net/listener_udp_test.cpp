#include "core/net/listener.h"
#include "tests/core/net/test_client.h"
#include "tests/support/udp_client.h"

#include <array>
#include <cerrno>
#include <system_error>

#include <doctest/doctest.h>
#include <netinet/in.h>

using namespace drover;
using namespace drover::test;

namespace {

const Address any_udp_port = Address::parse("udp:127.0.0.1:0");

}  // namespace

TEST_CASE("a udp listener is one socket for all slots, whatever the balance, and receives at once") {
    Listener listener = Listener::bind(any_udp_port, {.balance = Balance::reuseport}, 4);
    CHECK(listener.shared());
    CHECK(listener.sockets() == 1);
    CHECK(listener.address().is_udp());
    CHECK(listener.address().port() != 0);
    const int fd = listener.socket_for(3);
    CHECK(fd == listener.socket_for(0));
    CHECK(option_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);
    const UdpClient client(listener.address());
    REQUIRE(client.send("early"));
    listener.resize(9);
    listener.listen();
    CHECK(listener.listening() == 1);
    listener.steer(std::array{1U, 2U});
    listener.refuse_new();  // would drop what looks like a SYN: a datagram of zeros and a 2
    REQUIRE(client.send(std::string(13, '\0') + '\2' + std::string(10, '\0')));
    std::array<char, 100> buffer{};
    CHECK(::recv(fd, buffer.data(), buffer.size(), 0) == 5);
    CHECK(::recv(fd, buffer.data(), buffer.size(), 0) == 24);
}

TEST_CASE("a udp address that somebody has is refused, a tcp listener on it is not in the way") {
    const Listener listener = Listener::bind(any_udp_port, {}, 1);
    CHECK(fails_with(EADDRINUSE, "bind udp:127.0.0.1:", [&] { Listener::bind(listener.address(), {}, 1); }));
    // Any number that is free for tcp, which others take, too.
    const auto shares_a_port = [] {
        const Listener tcp = Listener::bind(Address::parse("127.0.0.1:0"), {}, 1);
        try {
            Listener::bind(tcp.address().as_datagrams(), {}, 1);
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    };
    bool shared = false;
    for (int tries = 0; tries < 20 && !shared; ++tries)
        shared = shares_a_port();
    CHECK(shared);
}

TEST_CASE("a udp socket on every address learns where datagrams went, another need not") {
    const Listener ipv4 = Listener::bind(Address::parse("udp:*:0"), {}, 1);
    CHECK(option_of(ipv4.socket_for(0), IPPROTO_IP, IP_PKTINFO) == 1);
    const Listener ipv6 = Listener::bind(Address::parse("udp:[::]:0"), {}, 1);
    CHECK(option_of(ipv6.socket_for(0), IPPROTO_IPV6, IPV6_RECVPKTINFO) == 1);
    CHECK(option_of(ipv6.socket_for(0), IPPROTO_IPV6, IPV6_V6ONLY) == 1);
    CHECK(option_of(ipv6.socket_for(0), IPPROTO_IP, IP_PKTINFO) == 1);
    const Listener one = Listener::bind(any_udp_port, {}, 1);
    CHECK(option_of(one.socket_for(0), IPPROTO_IP, IP_PKTINFO) == 0);
}

TEST_CASE("the receive buffer is as configured, changes live, and goes back to the system's") {
    const int system = option_of(Listener::bind(any_udp_port, {}, 1).socket_for(0), SOL_SOCKET, SO_RCVBUF);
    Listener listener = Listener::bind(any_udp_port, {.receive_buffer = 20'000}, 1);
    listener.listen();
    const int fd = listener.socket_for(0);
    CHECK(option_of(fd, SOL_SOCKET, SO_RCVBUF) == 40'000);  // socket(7): the kernel doubles it
    listener.set_options({.receive_buffer = 30'000});
    CHECK(option_of(fd, SOL_SOCKET, SO_RCVBUF) == 60'000);
    listener.set_options({.receive_buffer = 0});
    CHECK(option_of(fd, SOL_SOCKET, SO_RCVBUF) == system);
}
