#include "core/net/port_owners.h"

#include "core/net/listener.h"
#include "tests/core/net/test_client.h"
#include "tests/support/in_child.h"
#include "tests/support/skipped.h"

#include <array>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

using namespace drover;
using namespace drover::test;

namespace {

bool both_have_it(const char* left, bool left_ipv6_only, const char* right, bool right_ipv6_only) {
    const Address first = Address::parse(left);
    const Address second = Address::parse(right);
    const bool shared = share_port(first, left_ipv6_only, second, right_ipv6_only);
    CHECK(share_port(second, right_ipv6_only, first, left_ipv6_only) == shared);
    return shared;
}

}  // namespace

TEST_CASE("which addresses share a port") {
    CHECK(both_have_it("127.0.0.1:80", true, "*:80", true));
    CHECK(both_have_it("127.0.0.1:80", true, "127.0.0.1:80", true));
    CHECK_FALSE(both_have_it("127.0.0.1:80", true, "127.0.0.2:80", true));
    CHECK_FALSE(both_have_it("127.0.0.1:80", true, "*:81", true));
    CHECK_FALSE(both_have_it("127.0.0.1:80", true, "udp:*:80", true));
    CHECK_FALSE(both_have_it("127.0.0.1:80", true, "[::]:80", true));
    CHECK(both_have_it("127.0.0.1:80", true, "[::]:80", false));
    CHECK(both_have_it("[::1]:80", true, "[::]:80", false));
    CHECK_FALSE(both_have_it("127.0.0.1:80", true, "[::1]:80", false));
    CHECK_FALSE(both_have_it("unix:@a", true, "unix:@a", true));
}

TEST_CASE("strangers on a port are told from our own sockets, and from those that get nothing any more") {
    for (const char* const kind : {"", "udp:"}) {
        CAPTURE(kind);
        Listener listener = Listener::bind(Address::parse(std::string(kind) + "127.0.0.1:0"), {}, 1);
        listener.listen();
        const std::string port = ":" + std::to_string(listener.address().port());
        const Address everywhere = Address::parse(kind + ("*" + port));
        struct stat status {};
        REQUIRE(::fstat(listener.socket_for(0), &status) == 0);
        CHECK(strangers_at(everywhere, true, {}) == Strangers::some);
        CHECK(strangers_at(Address::parse(kind + ("[::]" + port)), true, {}) == Strangers::none);
        CHECK(strangers_at(Address::parse(kind + ("[::]" + port)), false, {}) == Strangers::some);
        CHECK(strangers_at(everywhere, true, std::array{status.st_ino}) == Strangers::none);
    }
}

TEST_CASE("a listener that was turned away keeps what it has, and its address is free for another") {
    const auto first = std::make_shared<Listener>(Listener::bind(Address::parse("127.0.0.1:0"), {}, 1));
    first->listen();
    const UniqueFd queued = connect_to(first->address());
    REQUIRE(queued);
    first->turn_away();
    CHECK_FALSE(connect_to(first->address()));
    CHECK(strangers_at(first->address(), true, {}) == Strangers::none);
    Listener second = Listener::bind(first->address(), {}, 2, std::array{first});
    second.listen();
    for (int i = 0; i < 20; ++i)
        CHECK(connect_to(first->address()));
    CHECK(accept_from(first->socket_for(0)));
    CHECK(::accept4(first->socket_for(0), nullptr, nullptr, SOCK_CLOEXEC) == -1);
}

TEST_CASE("a stranger on a link-local address is found on its interface") {
    in_child([] {
        if (lacks(::unshare(CLONE_NEWNET) == 0, "namespaces")) return 0;
        // The loopback interface of a new namespace is down and has no ::1, so lacks_ipv6() cannot tell.
        const UniqueFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (lacks(static_cast<bool>(probe), "IPv6")) return 0;
        const Address address = Address::parse("[fe80::7%lo]:4711");
        Listener stranger = Listener::bind(address, {.freebind = true}, 1);
        stranger.listen();
        return strangers_at(address, true, {}) == Strangers::some ? 0 : 3;
    });
}
