#include "worker/intake.h"

#include "core/net/listener.h"
#include "tests/worker/scripted_module.h"
#include "worker/module/module_host.h"

#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;
using namespace drover::test;

namespace {

// An intake of one listener, which takes up to `limit` connections.
struct Entrance {
    Script script;
    ScriptedWorker worker{script};
    ModuleHost modules{scripted_modules, {"scripted"}};
    Listener listener = Listener::bind(Address::parse("127.0.0.1:0"), {.balance = Balance::shared}, 1);
    std::vector<bool> rooms;
    int ends = 0;
    std::vector<UniqueFd> clients;
    Intake intake{worker.services().loop,
                  worker.services().log,
                  worker.services().connections,
                  {.on_room = Callback<void()>::to<&Entrance::note_room>(this),
                   .on_ended = Callback<void()>::to<&Entrance::note_end>(this)}};

    explicit Entrance(std::uint64_t limit) {
        listener.listen();
        modules.start(worker.services(), ImageNode());
        intake.set_up(modules, worker.services().counters, worker.services().configuration, sockets());
        PoolSettings pool = worker.services().configuration->pool();
        pool.max_connections = limit;
        intake.set_limit(pool);
    }
    void note_room() { rooms.push_back(intake.full()); }
    void note_end() { ++ends; }
    std::vector<UniqueFd> sockets() const {
        std::vector<UniqueFd> sockets;
        sockets.emplace_back(::fcntl(listener.socket_for(0), F_DUPFD_CLOEXEC, 0));
        return sockets;
    }
    void connect(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            REQUIRE(::connect(clients.back().get(), listener.address().data(), listener.address().size()) ==
                    0);
        }
    }
    bool comes_to(std::uint64_t accepted) {
        return worker.run_until([&] { return intake.accepted() == accepted; });
    }
};

}  // namespace

TEST_CASE("a worker at its limit accepts on only when the pool is full and idle connections make room") {
    for (const std::uint64_t connections : {0U, 1U, 3U}) {
        CHECK(admission(connections, 4, false) == Admission::go_on);
        CHECK(admission(connections, 4, true) == Admission::go_on);
    }
    for (const std::uint64_t connections : {4U, 5U, 400U})
        CHECK(admission(connections, 4, false) == Admission::pause);
    CHECK(admission(4, 4, true) == Admission::go_on_if_idle);
    CHECK(admission(5, 4, true) == Admission::displace);
    CHECK(admission(400, 4, true) == Admission::displace);
}

TEST_CASE(
    "an intake takes nobody before the word to serve, pauses at its limit and goes on when there is room") {
    Entrance entrance(2);
    entrance.connect(3);
    entrance.worker.settle();
    CHECK(entrance.intake.accepted() == 0);
    entrance.intake.open();
    REQUIRE(entrance.comes_to(2));
    entrance.worker.settle();
    CHECK(entrance.intake.accepted() == 2);
    CHECK(entrance.rooms == std::vector<bool>{true});
    entrance.script.last->close();
    entrance.worker.settle();
    entrance.intake.on_connection_closed();
    CHECK(entrance.comes_to(3));
}

TEST_CASE("a higher limit lets a worker that is full go on") {
    Entrance entrance(1);
    entrance.intake.open();
    entrance.connect(2);
    REQUIRE(entrance.comes_to(1));
    entrance.worker.settle();
    CHECK(entrance.intake.accepted() == 1);
    entrance.intake.set_limit(entrance.worker.services().configuration->pool());
    CHECK(entrance.comes_to(2));
}

TEST_CASE("a listener that the next generation has, too, keeps its socket and stays paused at the limit") {
    Entrance entrance(1);
    entrance.intake.open();
    entrance.connect(2);
    REQUIRE(entrance.comes_to(1));
    entrance.intake.commit(
        entrance.intake.prepare(entrance.worker.services().configuration, entrance.sockets()));
    entrance.worker.settle();
    CHECK(entrance.intake.accepted() == 1);
    CHECK(entrance.intake.accepting());
    CHECK(entrance.intake.gone_closed());
    CHECK(entrance.ends == 0);
    CHECK_THROWS(entrance.intake.prepare(entrance.worker.services().configuration, {}));
}

TEST_CASE("an intake that ends with a successor takes what waits, also beyond its limit, and closes") {
    Entrance entrance(1);
    entrance.intake.open();
    entrance.connect(3);
    REQUIRE(entrance.comes_to(1));
    CHECK_FALSE(entrance.intake.done());
    entrance.intake.finish(true);
    CHECK(entrance.intake.accepted() == 3);
    CHECK(entrance.ends == 1);
    CHECK(entrance.intake.done());
    entrance.intake.watch(0, std::move(entrance.sockets().front()));
    CHECK_FALSE(entrance.intake.accepting());
}

TEST_CASE("an intake without a successor waits for what is being opened") {
    Entrance entrance(8);
    entrance.intake.open();
    entrance.intake.finish(false);
    CHECK(entrance.intake.accepting());
    entrance.connect(1);
    CHECK(entrance.comes_to(1));
    CHECK(entrance.worker.run_until([&] { return entrance.intake.done(); }));
    CHECK(entrance.ends == 1);
}

TEST_CASE("the socket of another slot is watched while the worker serves") {
    Entrance entrance(8);
    Listener other = Listener::bind(Address::parse("127.0.0.1:0"), {.balance = Balance::shared}, 1);
    other.listen();
    std::swap(other, entrance.listener);
    entrance.intake.watch(0, std::move(entrance.sockets().front()));
    entrance.intake.open();
    entrance.intake.watch(1, std::move(entrance.sockets().front()));
    entrance.connect(1);
    entrance.worker.settle();
    CHECK(entrance.intake.accepted() == 0);
    entrance.intake.watch(0, std::move(entrance.sockets().front()));
    CHECK(entrance.comes_to(1));
}
