#include "core/net/listener.h"
#include "tests/core/net/test_client.h"
#include "tests/support/skipped.h"

#include <array>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

// What a worker has: a duplicate, and with it the open file description.
UniqueFd worker_copy(const Listener& listener, unsigned slot) {
    return UniqueFd(::fcntl(listener.socket_for(slot), F_DUPFD_CLOEXEC, 0));
}

std::string mended_text(Listener& listener) {
    std::string text;
    for (const ListenerDamage& damage : listener.mend(Listener::Look::options_too)) {
        text += std::to_string(damage.slot) + " " + damage.what;
        if (damage.now == ListenerDamage::Now::rebound) text += " (rebound)";
        if (damage.now == ListenerDamage::Now::lasting) text += " (lasting)";
        text += "; ";
    }
    return text;
}

// Which of the sockets got the connections of `count` clients.
std::vector<unsigned> reached(const Listener& listener, unsigned count) {
    std::vector<unsigned> got(listener.sockets());
    for (unsigned i = 0; i < count; ++i) {
        const UniqueFd client = connect_to(listener.address());
        REQUIRE(client);
        std::vector<pollfd> ready;
        for (unsigned slot = 0; slot < listener.sockets(); ++slot)
            ready.push_back({listener.socket_for(slot), POLLIN, 0});
        REQUIRE(::poll(ready.data(), ready.size(), deadline_ms) > 0);
        for (unsigned slot = 0; slot < listener.sockets(); ++slot)
            if (UniqueFd(::accept4(listener.socket_for(slot), nullptr, nullptr, SOCK_CLOEXEC))) ++got[slot];
    }
    return got;
}

bool attach_filter(int fd, int option) {
    sock_filter drop_all = {BPF_RET | BPF_K, 0, 0, 0};
    const sock_fprog program = {1, &drop_all};
    return ::setsockopt(fd, SOL_SOCKET, option, &program, sizeof program) == 0;
}

// With a port of its own: one that the kernel chooses goes with a shutdown.
Listener listening_group(unsigned slots) {
    const Address free = Listener::bind(Address::parse("127.0.0.1:0"), {}, 1).address();
    Listener listener = Listener::bind(free, {}, slots);
    listener.listen();
    return listener;
}

}  // namespace

TEST_CASE("untouched sockets need no mending") {
    Listener group = listening_group(3);
    CHECK(mended_text(group).empty());
    Listener udp = Listener::bind(Address::parse("udp:127.0.0.1:0"), {}, 1);
    udp.listen();
    CHECK(mended_text(udp).empty());
    Listener local =
        Listener::bind(Address::parse("unix:@drover-mending-" + std::to_string(::getpid())), {}, 1);
    local.listen();
    CHECK(mended_text(local).empty());
}

TEST_CASE("a socket that was made blocking is non-blocking again, and accept waits for a moment at most") {
    Listener group = listening_group(2);
    const UniqueFd copy = worker_copy(group, 1);
    ::fcntl(copy.get(), F_SETFL, 0);
    CHECK(::accept(copy.get(), nullptr, nullptr) < 0);  // returns
    CHECK(errno == EAGAIN);
    const timeval forever{};
    ::setsockopt(copy.get(), SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    CHECK(mended_text(group) == "1 was made blocking; ");
    CHECK((::fcntl(copy.get(), F_GETFL) & O_NONBLOCK) != 0);
    ::fcntl(copy.get(), F_SETFL, 0);
    CHECK(::accept(copy.get(), nullptr, nullptr) < 0);
}

TEST_CASE("a socket of a group that was shut down listens again, and steering still finds each slot") {
    for (const unsigned victim : {0U, 1U, 3U}) {
        CAPTURE(victim);
        Listener group = listening_group(4);
        ::shutdown(worker_copy(group, victim).get(), SHUT_RDWR);
        CHECK(mended_text(group) == std::to_string(victim) + " was shut down; ");
        for (unsigned slot = 0; slot < 4; ++slot) {
            group.steer(std::array{slot});
            std::vector<unsigned> expected(4);
            expected[slot] = 8;
            CHECK(reached(group, 8) == expected);
        }
        CHECK(mended_text(group).empty());
    }
}

TEST_CASE("several that were shut down at once listen again, in the order of their slots") {
    Listener group = listening_group(5);
    for (const unsigned slot : {3U, 0U})
        ::shutdown(worker_copy(group, slot).get(), SHUT_RD);
    CHECK(mended_text(group) == "0 was shut down; 3 was shut down; ");
    for (unsigned slot = 0; slot < 5; ++slot) {
        group.steer(std::array{slot});
        std::vector<unsigned> expected(5);
        expected[slot] = 8;
        CHECK(reached(group, 8) == expected);
    }
}

TEST_CASE("a socket whose port the kernel chose keeps it") {
    Listener group = Listener::bind(Address::parse("127.0.0.1:0"), {}, 2);
    group.listen();
    const Address before = group.address();
    ::shutdown(worker_copy(group, 0).get(), SHUT_RDWR);
    CHECK(mended_text(group) == "0 was shut down; ");
    CHECK(Address::local_of(group.socket_for(0)).text() == before.text());
    group.steer(std::array{0U});
    CHECK(reached(group, 8) == std::vector<unsigned>{8, 0});
}

TEST_CASE("a steering program of somebody else is replaced by ours") {
    Listener group = listening_group(3);
    group.steer(std::array{2U});
    sock_filter to_first = {BPF_RET | BPF_K, 0, 0, 0};
    const sock_fprog program = {1, &to_first};
    REQUIRE(::setsockopt(worker_copy(group, 1).get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                         sizeof program) == 0);
    CHECK(reached(group, 8) == std::vector<unsigned>{8, 0, 0});
    group.steer(std::array{2U});
    CHECK(reached(group, 8) == std::vector<unsigned>{0, 0, 8});
}

TEST_CASE("a backlog of none is made what it was") {
    Listener group = listening_group(1);
    ::listen(worker_copy(group, 0).get(), 0);
    CHECK(mended_text(group).empty());  // it cannot be seen, and is set at each look
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 50; ++i)
        clients.push_back(connect_to(group.address()));
    pollfd entry{group.socket_for(0), POLLIN, 0};
    for (int i = 0; i < 50; ++i) {
        REQUIRE(::poll(&entry, 1, deadline_ms) == 1);
        REQUIRE(UniqueFd(::accept4(group.socket_for(0), nullptr, nullptr, SOCK_CLOEXEC)));
    }
}

TEST_CASE("a filter is taken away; one that is locked costs the socket, not the address") {
    Listener group = listening_group(2);
    const UniqueFd copy = worker_copy(group, 1);
    if (lacks(attach_filter(copy.get(), SO_ATTACH_FILTER), "root (a filter)")) return;
    CHECK(mended_text(group) == "1 had a filter; ");
    group.steer(std::array{1U});
    CHECK(reached(group, 4) == std::vector<unsigned>{0, 4});
    REQUIRE(attach_filter(copy.get(), SO_ATTACH_FILTER));
    const int on = 1;
    REQUIRE(::setsockopt(copy.get(), SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) == 0);
    CHECK(mended_text(group) == "1 had its filter locked (rebound); ");
    group.steer(std::array{1U});
    CHECK(reached(group, 4) == std::vector<unsigned>{0, 4});
}

TEST_CASE("a datagram socket that was connected hears everybody again") {
    Listener udp = Listener::bind(Address::parse("udp:127.0.0.1:0"), {}, 1);
    udp.listen();
    const Address bound = Address::local_of(udp.socket_for(0));
    const UniqueFd peer(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(worker_copy(udp, 0).get(), bound.data(), bound.size()) == 0);
    CHECK(mended_text(udp) == "0 was connected; ");
    CHECK(Address::local_of(udp.socket_for(0)).text() == bound.text());
    REQUIRE(::sendto(peer.get(), "hi", 2, 0, bound.data(), bound.size()) == 2);
    pollfd entry{udp.socket_for(0), POLLIN, 0};
    CHECK(::poll(&entry, 1, deadline_ms) == 1);
}

TEST_CASE("a unix socket that was shut down is bound anew at its path") {
    const std::string path = "/tmp/drover-mending-" + std::to_string(::getpid());
    Listener local = Listener::bind(Address::parse("unix:" + path), {}, 1);
    local.listen();
    const UniqueFd copy = worker_copy(local, 0);
    ::shutdown(copy.get(), SHUT_RDWR);
    CHECK(mended_text(local) == "0 was shut down (rebound); ");
    CHECK(reached(local, 3) == std::vector<unsigned>{3});
}

TEST_CASE("options of a socket and of the connections that come from it are put back") {
    struct Change {
        int level;
        int option;
        const char* name;
        int value;
    };
    constexpr std::array changes{
        Change{SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", 0},
        Change{SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", 1},
        Change{SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF, SO_BUF_LOCK", 2304},
        Change{SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF, SO_BUF_LOCK", 4608},
        Change{SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", 1000},
        Change{SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", 1},
        Change{IPPROTO_IP, IP_TTL, "IP_TTL", 1},
        Change{IPPROTO_IP, IP_MINTTL, "IP_MINTTL", 255},
        Change{IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", 0},
        Change{IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", 60},
        Change{IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG", 100},
        Change{IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", 1},
        Change{IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", 127},
        Change{IPPROTO_TCP, TCP_TX_DELAY, "TCP_TX_DELAY", 2'000'000},
    };
    Listener group = listening_group(2);
    for (const Change& change : changes) {
        CAPTURE(change.name);
        const int fd = group.socket_for(1);
        const int before = option_of(fd, change.level, change.option);
        REQUIRE(::setsockopt(worker_copy(group, 1).get(), change.level, change.option, &change.value,
                             sizeof change.value) == 0);
        CHECK(mended_text(group) == "1 had other options: " + std::string(change.name) + "; ");
        CHECK(option_of(fd, change.level, change.option) == before);
        CHECK(mended_text(group).empty());
    }
    for (const int seconds : {0, 5}) {
        const linger some{.l_onoff = 1, .l_linger = seconds};
        ::setsockopt(group.socket_for(0), SOL_SOCKET, SO_LINGER, &some, sizeof some);
        CHECK(mended_text(group) == "0 had other options: SO_LINGER; ");
        CHECK(mended_text(group).empty());
    }
    group.steer(std::array{1U});
    CHECK(reached(group, 4) == std::vector<unsigned>{0, 4});
}

TEST_CASE("sockets with options that cannot be put back are bound again, and others keep their queues") {
    Listener group = listening_group(3);
    group.steer(std::array{0U});
    const UniqueFd client = connect_to(group.address());
    const int small = 2304;
    for (const unsigned slot : {1U, 2U})
        REQUIRE(::setsockopt(group.socket_for(slot), IPPROTO_TCP, TCP_WINDOW_CLAMP, &small, sizeof small) ==
                0);
    CHECK(
        mended_text(group) ==
        "1 had other options: TCP_WINDOW_CLAMP (rebound); 2 had other options: TCP_WINDOW_CLAMP (rebound); ");
    CHECK(UniqueFd(::accept4(group.socket_for(0), nullptr, nullptr, SOCK_CLOEXEC)));
    for (unsigned slot = 0; slot < 3; ++slot) {
        group.steer(std::array{slot});
        std::vector<unsigned> expected(3, 0);
        expected[slot] = 4;
        CHECK(reached(group, 4) == expected);
    }
}

TEST_CASE("a datagram socket that was told to expect another protocol hears everybody again") {
    Listener udp = Listener::bind(Address::parse("udp:127.0.0.1:0"), {}, 1);
    udp.listen();
    const int esp_in_udp = 2;
    REQUIRE(::setsockopt(worker_copy(udp, 0).get(), IPPROTO_UDP, UDP_ENCAP, &esp_in_udp, sizeof esp_in_udp) ==
            0);
    CHECK(mended_text(udp) == "0 had other options: UDP_ENCAP; ");
    CHECK(mended_text(udp).empty());
}

TEST_CASE("a socket with an option that cannot be put back is bound anew") {
    Listener group = listening_group(2);
    const UniqueFd copy = worker_copy(group, 1);
    const int small = 2304;  // a listening socket's is never "none" again
    REQUIRE(::setsockopt(copy.get(), IPPROTO_TCP, TCP_WINDOW_CLAMP, &small, sizeof small) == 0);
    CHECK(mended_text(group) == "1 had other options: TCP_WINDOW_CLAMP (rebound); ");
    CHECK(mended_text(group).empty());
    group.steer(std::array{1U});
    CHECK(reached(group, 4) == std::vector<unsigned>{0, 4});
}

TEST_CASE("options that a configuration changes are no damage") {
    Listener group = listening_group(2);
    group.set_options({.nodelay = false, .defer_accept_s = 5, .keepalive = true, .keepalive_idle_s = 9});
    CHECK(mended_text(group).empty());
    group.set_options({});
    CHECK(mended_text(group).empty());
    CHECK(option_of(group.socket_for(1), IPPROTO_TCP, TCP_NODELAY) == 1);
}

TEST_CASE("a udp socket has its buffer and tells destinations again, also when it was connected") {
    for (const char* text : {"udp:0.0.0.0:0", "udp:[::]:0"}) {
        CAPTURE(text);
        Listener udp =
            Listener::bind(Address::parse(text), {.ipv6_only = false, .receive_buffer = 100'000}, 1);
        udp.listen();
        const int fd = udp.socket_for(0);
        const int buffer = option_of(fd, SOL_SOCKET, SO_RCVBUF);
        const UniqueFd copy = worker_copy(udp, 0);
        const int none = 0;
        const int small = 2304;
        ::setsockopt(copy.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        ::setsockopt(copy.get(), IPPROTO_IP, IP_PKTINFO, &none, sizeof none);
        const std::array no_operation{'\1', '\1', '\1', '\1'};
        ::setsockopt(copy.get(), IPPROTO_IP, IP_OPTIONS, no_operation.data(), no_operation.size());
        CHECK(mended_text(udp) == "0 had other options: SO_RCVBUF, IP_OPTIONS, IP_PKTINFO; ");
        const Address peer = Address::local_of(fd);
        REQUIRE(::connect(copy.get(), peer.data(), peer.size()) == 0);
        CHECK(mended_text(udp) == "0 was connected; ");
        CHECK(option_of(fd, SOL_SOCKET, SO_RCVBUF) == buffer);
        CHECK(option_of(fd, IPPROTO_IP, IP_PKTINFO) == 1);
        CHECK(mended_text(udp).empty());
    }
}
