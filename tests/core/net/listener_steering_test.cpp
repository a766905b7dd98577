#include "core/net/listener.h"
#include "tests/core/net/test_client.h"
#include "tests/support/in_child.h"
#include "tests/support/skipped.h"

#include <array>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

// Connects `count` clients and accepts them; how many each socket got.
std::vector<unsigned> spread(const Listener& listener, unsigned count) {
    std::vector<unsigned> got(listener.sockets());
    std::vector<UniqueFd> clients;
    for (unsigned i = 0; i < count; ++i) {
        clients.push_back(connect_to(listener.address()));
        REQUIRE(clients.back());
    }
    unsigned accepted = 0;
    while (accepted < count) {
        std::vector<pollfd> ready;
        for (unsigned slot = 0; slot < listener.sockets(); ++slot)
            ready.push_back({listener.socket_for(slot), POLLIN, 0});
        REQUIRE(::poll(ready.data(), ready.size(), deadline_ms) > 0);
        for (unsigned slot = 0; slot < listener.sockets(); ++slot) {
            while (UniqueFd(::accept4(listener.socket_for(slot), nullptr, nullptr, SOCK_CLOEXEC))) {
                ++got[slot];
                ++accepted;
            }
        }
    }
    return got;
}

Listener make_group(unsigned slots) {
    Listener listener = Listener::bind(Address::parse("127.0.0.1:0"), {}, slots);
    listener.listen();
    return listener;
}

}  // namespace

TEST_CASE("new connections go to the slots named, to each of them, and to no other") {
    Listener listener = make_group(5);
    const std::array<unsigned, 3> some{4, 0, 2};
    listener.steer(some);
    const std::vector<unsigned> got = spread(listener, 200);
    CHECK(got[1] == 0);
    CHECK(got[3] == 0);
    for (const unsigned slot : some)
        CHECK(got[slot] > 0);
    const std::array<unsigned, 1> one{3};
    listener.steer(one);
    CHECK(spread(listener, 50) == std::vector<unsigned>{0, 0, 0, 50, 0});
}

TEST_CASE("named again, or all, every slot gets its part again") {
    Listener listener = make_group(3);
    const std::array<unsigned, 1> one{1};
    listener.steer(one);
    listener.steer({});
    std::vector<unsigned> got = spread(listener, 200);
    for (const unsigned count : got)
        CHECK(count > 0);
    listener.steer(one);
    const std::array<unsigned, 3> all{0, 1, 2};
    listener.steer(all);
    got = spread(listener, 200);
    for (const unsigned count : got)
        CHECK(count > 0);
}

TEST_CASE("sockets that do not listen yet are never named to the kernel") {
    Listener listener = Listener::bind(Address::parse("127.0.0.1:0"), {}, 3);
    listener.listen(2);
    CHECK(listener.listening() == 2);
    const std::array<unsigned, 2> some{1, 2};
    listener.steer(some);
    CHECK(spread(listener, 40) == std::vector<unsigned>{0, 40, 0});
}

TEST_CASE("what waits in the queue of a slot stays there while others are steered to") {
    Listener listener = make_group(2);
    const std::array<unsigned, 1> second{1};
    const std::array<unsigned, 1> first{0};
    listener.steer(second);
    const UniqueFd waiting = connect_to(listener.address());
    REQUIRE(waiting);
    listener.steer(first);
    CHECK(UniqueFd(accept_from(listener.socket_for(1))));
}

TEST_CASE("a listener that refuses new connections still gives those that are queued") {
    if (lacks_root()) return;
    Listener listener = make_group(1);
    const UniqueFd queued = connect_to(listener.address());
    REQUIRE(queued);
    listener.refuse_new();
    const UniqueFd late(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    CHECK(::connect(late.get(), listener.address().data(), listener.address().size()) != 0);
    const UniqueFd accepted = accept_from(listener.socket_for(0));
    REQUIRE(accepted);
    CHECK(::send(queued.get(), "x", 1, 0) == 1);
    char byte = 0;
    CHECK(::recv(accepted.get(), &byte, 1, 0) == 1);
    tcp_info info{};
    socklen_t size = sizeof info;
    REQUIRE(::getsockopt(late.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    CHECK(info.tcpi_state == TCP_SYN_SENT);
}

TEST_CASE("where no filter may be attached new connections are refused, and those that are queued are had") {
    if (lacks_root()) return;
    in_child([] {
        constexpr uid_t ordinary = 65534;
        if (::setresuid(ordinary, ordinary, ordinary) != 0) return 1;
        Listener listener = make_group(2);
        const UniqueFd queued = connect_to(listener.address());
        listener.refuse_new();
        if (!queued || connect_to(listener.address())) return 2;
        const UniqueFd accepted(::accept4(listener.socket_for(0), nullptr, nullptr, SOCK_CLOEXEC));
        const UniqueFd other(::accept4(listener.socket_for(1), nullptr, nullptr, SOCK_CLOEXEC));
        return accepted || other ? 0 : 3;
    });
}

TEST_CASE("sockets that never listened are dropped, listening ones are not") {
    Listener listener = Listener::bind(Address::parse("127.0.0.1:0"), {}, 4);
    listener.listen(3);
    listener.drop_idle_sockets(2);
    CHECK(listener.sockets() == 3);
    CHECK(spread(listener, 30).size() == 3);
}

TEST_CASE("a program for a thousand slots fits into what kernels before 6.7 allow") {
    // In a network namespace of its own, whose limit can be set.
    in_child([] {
        if (lacks(::unshare(CLONE_NEWNET) == 0, "namespaces")) return 0;
        const UniqueFd limit(::open("/proc/sys/net/core/optmem_max", O_WRONLY | O_CLOEXEC));
        const bool is_set = limit && ::write(limit.get(), "20480", 5) == 5;
        if (lacks(is_set, "an optmem_max that can be set")) return 0;
        const rlimit files{2048, 2048};
        if (lacks(::setrlimit(RLIMIT_NOFILE, &files) == 0, "more descriptors")) return 0;
        Listener listener = Listener::bind(Address::parse("0.0.0.0:0"), {}, 1000);
        listener.listen();
        std::vector<unsigned> every_other;
        std::vector<unsigned> all_but_one;
        for (unsigned slot = 1; slot < 1000; ++slot) {
            if (slot % 2 == 1) every_other.push_back(slot);
            all_but_one.push_back(slot);
        }
        listener.steer(every_other);
        listener.steer(all_but_one);
        return 0;
    });
}
