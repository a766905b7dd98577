#include "master/reload/listener_registry.h"

#include "core/base/system_error.h"

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

using namespace drover;

namespace {

const Address any_port = Address::parse("127.0.0.1:0");

}  // namespace

TEST_CASE("an address that is in use is shared, grows when asked, and is bound anew when nobody holds it") {
    ListenerRegistry registry;
    std::shared_ptr<Listener> first = registry.acquire("a", any_port, {}, 2);
    CHECK(first->sockets() == 2);
    const std::uint16_t port = first->address().port();
    const std::shared_ptr<Listener> again = registry.acquire("a", any_port, {}, 4);
    CHECK(again == first);
    CHECK(first->sockets() == 4);
    CHECK(registry.acquire("a", any_port, {}, 1)->sockets() == 4);
    CHECK(registry.acquire("b", any_port, {}, 1)->address().port() != port);
    const std::weak_ptr<Listener> gone = first;
    first.reset();
    CHECK_FALSE(gone.expired());
}

TEST_CASE("what belongs to the binding cannot change while the address is in use") {
    ListenerRegistry registry;
    const std::shared_ptr<Listener> held = registry.acquire("a", any_port, {}, 2);
    ListenerOptions other;
    other.balance = Balance::shared;
    CHECK_THROWS_AS(registry.acquire("a", any_port, other, 2), std::runtime_error);
    other = {};
    other.ipv6_only = false;
    CHECK_THROWS_AS(registry.acquire("a", any_port, other, 2), std::runtime_error);
    other = {};
    other.backlog = 7;
    CHECK(registry.acquire("a", any_port, other, 2) == held);
    CHECK(held->options().backlog != 7);  // applied when its new user takes over
}

TEST_CASE("a listener that cannot listen leaves the options of the live ones as they were") {
    ListenerRegistry registry;
    const std::shared_ptr<Listener> live = registry.acquire("live", any_port, {}, 2);
    live->listen();
    const std::shared_ptr<Listener> faster = registry.acquire("faster", any_port, {}, 1);
    const auto slower = std::make_shared<Listener>(Listener::bind(faster->address(), {}, 1));
    faster->listen();
    ListenerOptions changed;
    changed.backlog = 7;
    changed.nodelay = false;
    CHECK_THROWS_AS(use_listeners({{live, changed, 2}, {slower, {}, 1}}), std::system_error);
    CHECK(live->options() == ListenerOptions());
    use_listeners({{live, changed, 2}});
    CHECK(live->options() == changed);
}

TEST_CASE("a stand-in and the listener that comes later were asked for by one address, whatever the port") {
    const Listener bound = Listener::bind(any_port, {}, 1);
    CHECK(bound.address().port() != 0);
    CHECK(bound.asked_for() == Listener::stand_in(any_port, {}, "taken").asked_for());
}

TEST_CASE("a listener that cannot be had keeps the system's code beside its place in the configuration") {
    ListenSettings settings;
    settings.address = any_port;
    settings.address_text = "127.0.0.1:0";
    settings.place = "/f:3:11: pool.a.listen[0].address";
    const std::system_error failure(EMFILE, std::generic_category(), "socket 127.0.0.1:0");
    const ListenerError error(failure, settings);
    CHECK(is_shortage(error));
    CHECK(std::string(error.what()) ==
          "/f:3:11: pool.a.listen[0].address: socket 127.0.0.1:0: Too many open files");
}
