#include "core/net/listener.h"

#include "tests/core/net/test_client.h"
#include "tests/support/skipped.h"

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

using namespace drover;
using namespace drover::test;

namespace {

const Address any_port = Address::parse("127.0.0.1:0");

// How many connections wait on a listening socket (tcp(7): TCP_INFO counts them as unacknowledged).
unsigned queued_on(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    return info.tcpi_unacked;
}

std::vector<unsigned> wait_for_queued(const Listener& listener, unsigned total) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(deadline_ms);
    std::vector<unsigned> counts(listener.sockets());
    unsigned sum = 0;
    while (sum != total && std::chrono::steady_clock::now() < deadline) {
        sum = 0;
        for (unsigned i = 0; i < listener.sockets(); ++i)
            sum += counts[i] = queued_on(listener.socket_for(i));
    }
    REQUIRE(sum == total);
    return counts;
}

// Every new connection goes to the socket that was the `index`-th to listen.
void steer_to(const Listener& listener, unsigned index) {
    sock_filter code = {BPF_RET | BPF_K, 0, 0, index};
    const sock_fprog program = {1, &code};
    REQUIRE(::setsockopt(listener.socket_for(0), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                         sizeof program) == 0);
}

}  // namespace

TEST_CASE("one shared socket serves all slots") {
    Listener listener = Listener::bind(any_port, {.balance = Balance::shared}, 4);
    CHECK(listener.shared());
    CHECK(listener.sockets() == 1);
    CHECK(listener.address().port() != 0);
    CHECK(listener.socket_for(0) == listener.socket_for(3));
    listener.resize(9);
    CHECK(listener.sockets() == 1);
    listener.listen();
    const UniqueFd client = connect_to(listener.address());
    REQUIRE(client);
    CHECK(accept_from(listener.socket_for(2)));
}

TEST_CASE("a group has a socket a slot on the port that the first one got") {
    Listener listener = Listener::bind(any_port, {}, 4);
    REQUIRE(listener.sockets() == 4);
    CHECK(listener.address().port() != 0);
    for (unsigned slot = 0; slot < 4; ++slot) {
        const int fd = listener.socket_for(slot);
        CHECK(Address::local_of(fd) == listener.address());
        CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK(option_of(fd, SOL_SOCKET, SO_REUSEADDR) == 1);
        CHECK(option_of(fd, SOL_SOCKET, SO_REUSEPORT) == 1);
    }
    CHECK_FALSE(connect_to(listener.address()));
    CHECK(errno == ECONNREFUSED);
    listener.listen();
    for (unsigned slot = 0; slot < 4; ++slot) {
        CHECK(option_of(listener.socket_for(slot), SOL_SOCKET, SO_REUSEPORT) == 1);
    }
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(connect_to(listener.address()));
        REQUIRE(clients.back());
    }
    for (const unsigned count : wait_for_queued(listener, 100))
        CHECK(count > 0);
    CHECK(Listener::bind(any_port, {}, 0).sockets() == 1);
}

TEST_CASE("two groups on one port: the second is refused when the first listens") {
    Listener first = Listener::bind(any_port, {}, 2);
    first.listen();
    const std::string text = "bind " + first.address().text() + ": Address already in use";
    CHECK(fails_with(EADDRINUSE, text, [&] { Listener::bind(first.address(), {}, 2); }));
    CHECK(fails_with(EADDRINUSE, text,
                     [&] { Listener::bind(first.address(), {.balance = Balance::shared}, 1); }));
    CHECK(connect_to(first.address()));
}

TEST_CASE("two groups bound at the same time: the second to listen is refused and gets no connection") {
    for (const unsigned slots : {1U, 3U}) {
        CAPTURE(slots);
        Listener first = Listener::bind(any_port, {}, slots);
        std::optional<Listener> second;
        const auto error = error_of([&] { second.emplace(Listener::bind(first.address(), {}, slots)); });
        if (error) continue;  // A kernel that refuses it this early does as well.
        first.listen();
        const std::string text = "listen " + first.address().text() + ": Address already in use";
        CHECK(fails_with(EADDRINUSE, text, [&] { second->listen(); }));
        CHECK(fails_with(EADDRINUSE, text, [&] { second->listen(); }));
        std::vector<UniqueFd> clients;
        for (int i = 0; i < 50; ++i)
            clients.push_back(connect_to(first.address()));
        wait_for_queued(first, 50);
    }
}

TEST_CASE("a port whose last connections are in TIME_WAIT can be bound at once") {
    std::optional<Listener> listener(Listener::bind(any_port, {}, 1));
    const Address address = listener->address();
    listener->listen();
    {
        const UniqueFd client = connect_to(address);
        UniqueFd server = accept_from(listener->socket_for(0));
        REQUIRE(server);
        server.reset();
        char byte;
        CHECK(::recv(client.get(), &byte, 1, 0) == 0);
    }
    listener.reset();
    Listener again = Listener::bind(address, {}, 2);
    again.listen();
    CHECK(connect_to(address));
}

TEST_CASE("sockets listen in the order of their slots, those of a later resize after them") {
    Listener listener = Listener::bind(any_port, {}, 1);
    listener.listen();
    steer_to(listener, 0);
    listener.resize(4);
    listener.listen();
    std::vector<UniqueFd> clients;
    for (unsigned slot = 0; slot < 4; ++slot) {
        CAPTURE(slot);
        steer_to(listener, slot);
        for (int i = 0; i < 8; ++i)
            clients.push_back(connect_to(listener.address()));
        CHECK(wait_for_queued(listener, 8 * (slot + 1))[slot] == 8);
    }
    listener.resize(2);
    listener.resize(3);
    listener.listen();
    steer_to(listener, 2);
    for (int i = 0; i < 8; ++i)
        clients.push_back(connect_to(listener.address()));
    CHECK(wait_for_queued(listener, 24)[2] == 8);
}

TEST_CASE("resize keeps what waits in the queues that remain") {
    Listener listener = Listener::bind(any_port, {}, 3);
    listener.listen();
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 90; ++i)
        clients.push_back(connect_to(listener.address()));
    const std::vector<unsigned> before = wait_for_queued(listener, 90);
    const int first_fd = listener.socket_for(0);

    listener.resize(2);
    REQUIRE(listener.sockets() == 2);
    CHECK(listener.socket_for(0) == first_fd);
    CHECK(wait_for_queued(listener, before[0] + before[1]) == std::vector{before[0], before[1]});
    listener.resize(5);
    REQUIRE(listener.sockets() == 5);
    listener.listen();
    for (unsigned slot = 0; slot < 2; ++slot) {
        for (unsigned i = 0; i < before[slot]; ++i) {
            const UniqueFd server = accept_from(listener.socket_for(slot));
            REQUIRE(server);
            REQUIRE(::send(server.get(), "x", 1, MSG_NOSIGNAL) == 1);
        }
    }
    unsigned answered = 0;
    for (const UniqueFd& client : clients) {
        char byte;
        if (::recv(client.get(), &byte, 1, 0) == 1) ++answered;
    }
    CHECK(answered == before[0] + before[1]);
}

TEST_CASE("a resize that fails leaves the group as it was") {
    Listener listener = Listener::bind(any_port, {}, 2);
    listener.listen();
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const UniqueFd next_fd(::dup(0));
    const rlimit tight{static_cast<rlim_t>(next_fd.get()) + 4, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    const auto error = error_of([&] { listener.resize(50); });
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE(error);
    CHECK(error->code().value() == EMFILE);
    CHECK(listener.sockets() == 2);
    CHECK(connect_to(listener.address()));
}

TEST_CASE("a queued connection survives handing its socket to another descriptor") {
    std::optional<Listener> listener(Listener::bind(any_port, {}, 2));
    listener->listen();
    steer_to(*listener, 1);
    const UniqueFd client = connect_to(listener->address());
    wait_for_queued(*listener, 1);
    const UniqueFd copy(::fcntl(listener->socket_for(1), F_DUPFD_CLOEXEC, 0));
    listener.reset();
    const UniqueFd server = accept_from(copy.get());
    REQUIRE(server);
    REQUIRE(::send(server.get(), "x", 1, MSG_NOSIGNAL) == 1);
    char byte = 0;
    CHECK(::recv(client.get(), &byte, 1, 0) == 1);
    CHECK(byte == 'x');
}

TEST_CASE("an address that is not ours is an error with the address in it") {
    CHECK(fails_with(EADDRNOTAVAIL,
                     "bind 192.0.2.1:80: ", [] { Listener::bind(Address::parse("192.0.2.1:80"), {}, 1); }));
}

TEST_CASE("options reach accepted sockets") {
    Listener listener = Listener::bind(any_port,
                                       {.nodelay = true,
                                        .keepalive = true,
                                        .keepalive_idle_s = 71,
                                        .keepalive_interval_s = 72,
                                        .keepalive_count = 13},
                                       2);
    listener.listen();
    steer_to(listener, 1);
    const UniqueFd client = connect_to(listener.address());
    const UniqueFd server = accept_from(listener.socket_for(1));
    REQUIRE(server);
    CHECK(option_of(server.get(), IPPROTO_TCP, TCP_NODELAY) != 0);
    CHECK(option_of(server.get(), SOL_SOCKET, SO_KEEPALIVE) != 0);
    CHECK(option_of(server.get(), IPPROTO_TCP, TCP_KEEPIDLE) == 71);
    CHECK(option_of(server.get(), IPPROTO_TCP, TCP_KEEPINTVL) == 72);
    CHECK(option_of(server.get(), IPPROTO_TCP, TCP_KEEPCNT) == 13);
}

TEST_CASE("set_options changes live sockets, 0 gives the system's value back") {
    Listener listener = Listener::bind(any_port, {.keepalive = true, .keepalive_idle_s = 71}, 2);
    listener.listen();
    const int fd = listener.socket_for(1);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0);
    listener.set_options({.balance = Balance::shared, .backlog = 5, .nodelay = false, .defer_accept_s = 3});
    CHECK(option_of(fd, IPPROTO_TCP, TCP_NODELAY) == 0);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 3);
    CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
    const UniqueFd fresh(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE) == option_of(fresh.get(), IPPROTO_TCP, TCP_KEEPIDLE));
    tcp_info info{};
    socklen_t size = sizeof info;
    REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    CHECK(info.tcpi_sacked == 5);  // the backlog of a listening socket
    CHECK_FALSE(listener.shared());
    CHECK(listener.options().backlog == 5);

    const ListenerOptions before = listener.options();
    CHECK(fails_with(EINVAL, "setsockopt TCP_KEEPIDLE",
                     [&] { listener.set_options({.nodelay = true, .keepalive_idle_s = 1'000'000}); }));
    CHECK(listener.options() == before);
    CHECK(option_of(listener.socket_for(0), IPPROTO_TCP, TCP_NODELAY) == 0);
}

TEST_CASE("IPv6: alone by default, with IPv4 when ipv6_only is off") {
    if (lacks_ipv6()) return;
    const auto at = [](const char* host, const Listener& listener) {
        return Address::parse(std::string(host) + ":" + std::to_string(listener.address().port()));
    };
    // Its port may be somebody else's in IPv4; then another one is tried.
    std::optional<Listener> alone;
    std::optional<Listener> beside;
    for (int tries = 0; !beside && tries < 20; ++tries) {
        alone = Listener::bind(Address::parse("[::]:0"), {}, 2);
        try {
            beside = Listener::bind(at("*", *alone), {}, 2);
        } catch (const std::system_error& error) {
            REQUIRE(error.code() == std::errc::address_in_use);
        }
    }
    REQUIRE(beside);
    alone->listen();
    CHECK(connect_to(at("[::1]", *alone)));
    CHECK_FALSE(connect_to(at("127.0.0.1", *alone)));
    beside->listen();
    CHECK(connect_to(at("127.0.0.1", *alone)));

    Listener both = Listener::bind(Address::parse("[::]:0"), {.ipv6_only = false}, 2);
    both.listen();
    CHECK(connect_to(at("[::1]", both)));
    CHECK(connect_to(at("127.0.0.1", both)));
}
