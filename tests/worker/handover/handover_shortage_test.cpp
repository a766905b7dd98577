// What a hand-over does when descriptors or room in buffers are short: it waits, and goes on.
#include "core/protocol/packet.h"
#include "tests/support/in_child.h"
#include "tests/support/open_fds.h"
#include "tests/worker/handover/raw_giver.h"
#include "tests/worker/scripted_module.h"
#include "worker/handover/handover_giver.h"
#include "worker/handover/handover_receiver.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

namespace drover::test {
namespace {

Script echo_script() {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    script.input = [](ScriptedConnection& connection, std::string_view bytes) {
        connection.write(bytes);
        return bytes.size();
    };
    return script;
}

// A giver and any number of receivers, each with a worker's insides, in one thread.
struct ScarceWorkers {
    Script script = echo_script();
    ScriptedWorker old_worker{script};
    std::unique_ptr<HandoverGiver> giver =
        std::make_unique<HandoverGiver>(old_worker.services().loop, old_worker.services().connections,
                                        std::vector<std::string>{"127.0.0.1:0 scripted"});
    struct Taker {
        explicit Taker(Script& script) : worker(script) {}
        ScriptedWorker worker;
        std::unique_ptr<HandoverReceiver> receiver;
        std::size_t room = SIZE_MAX;
        std::size_t free() { return room == SIZE_MAX ? room : room - worker.connection_count(); }
    };
    std::vector<std::unique_ptr<Taker>> takers;
    std::vector<FixtureClient> clients;

    void add_clients(int count) {
        for (int i = 0; i < count; ++i)
            clients.emplace_back(old_worker);
        old_worker.settle();
    }
    Taker& add_taker(std::size_t room = SIZE_MAX) {
        auto [give, take] = Channel::make_pair();
        Taker& taker = *takers.emplace_back(std::make_unique<Taker>(script));
        taker.room = room;
        taker.receiver = std::make_unique<HandoverReceiver>(
            taker.worker.services().loop, taker.worker.services().connections, std::move(take),
            [&taker](std::string_view) {
                return HandoverReceiver::Target{taker.worker.module(), 0, AF_INET};
            },
            HandoverReceiver::EndHandler(), HandoverReceiver::RoomHandler::to<&Taker::free>(&taker));
        giver->add_receiver(std::move(give));
        return taker;
    }
    template <class Predicate>
    bool run_until(Predicate done) {
        return old_worker.run_until([&] {
            for (const auto& taker : takers)
                taker->worker.services().loop.run_once(std::chrono::milliseconds(0));
            return done();
        });
    }
    bool all_answered(std::string_view text) {
        for (FixtureClient& client : clients) {
            client.take_received();
            std::string_view left = text;
            if (!client.send_some(left) || !left.empty()) return false;
        }
        for (FixtureClient& client : clients) {
            if (!run_until([&] {
                    client.read();
                    return client.received() == text;
                }))
                return false;
        }
        return true;
    }
};

// Descriptors under way of a user of our own, more than the limit allows.
struct Flood {
    std::pair<UniqueFd, UniqueFd> ends = Channel::make_pair();

    bool begin() {
        if (::getuid() == 0 &&
            (::setgroups(0, nullptr) != 0 || ::setuid(static_cast<uid_t>(20'000 + ::getpid() % 40'000)) != 0))
            return false;
        const std::vector<int> fds(max_message_fds, STDERR_FILENO);
        const std::byte any[1]{};
        for (int i = 0; i < 40; ++i) {
            const PacketSent sent = send_packet(ends.first.get(), any, {}, fds);
            if (sent != PacketSent::sent) return sent == PacketSent::busy;
        }
        return false;
    }
    void end() {
        ends.first.reset();
        ends.second.reset();
    }
};

bool limit_descriptors(std::size_t count) {
    const rlimit limit{.rlim_cur = count, .rlim_max = 4096};
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

}  // namespace

TEST_CASE("too many descriptors under way, and none free: the giver serves on, and gives when it can") {
    in_child([] {
        ScarceWorkers workers;
        workers.add_clients(40);
        workers.add_taker();
        workers.run_until([&, turns = 0]() mutable { return ++turns > 5; });
        const std::size_t used = count_open_fds();
        if (!limit_descriptors(used + 4)) return 1;
        Flood flood;
        if (!flood.begin()) return 2;
        workers.giver->start();
        if (!workers.all_answered("while it waits")) return 3;
        if (workers.old_worker.connection_count() != 40) return 4;
        flood.end();
        if (!limit_descriptors(used + 100)) return 5;
        if (!workers.run_until([&] { return workers.takers[0]->worker.connection_count() == 40; })) return 6;
        return workers.all_answered("after it") ? 0 : 7;
    });
}

TEST_CASE("a receiver without free descriptors gets fewer, and all of them in the end") {
    in_child([] {
        ScarceWorkers workers;
        workers.add_clients(40);
        workers.add_taker();
        workers.run_until([&, turns = 0]() mutable { return ++turns > 5; });
        // What has moved is closed by the giver, which is this process, too.
        if (!limit_descriptors(count_open_fds() + 7)) return 1;
        workers.giver->start();
        if (!workers.run_until([&] { return workers.takers[0]->worker.connection_count() == 40; })) return 2;
        if (!workers.run_until([&] { return workers.old_worker.connection_count() == 0; })) return 3;
        return workers.all_answered("here") ? 0 : 4;
    });
}

TEST_CASE(
    "a receiver takes what it has room for, another the rest; without room anywhere the giver serves on") {
    ScarceWorkers workers;
    workers.add_clients(300);
    ScarceWorkers::Taker& small = workers.add_taker(10);
    ScarceWorkers::Taker& large = workers.add_taker(100);
    workers.giver->start();
    REQUIRE(workers.run_until([&] { return workers.giver->given() == 110; }));
    CHECK(small.worker.connection_count() == 10);
    CHECK(large.worker.connection_count() == 100);
    CHECK(workers.all_answered("spread"));
    CHECK(workers.old_worker.connection_count() == 190);
    small.room = 1000;
    REQUIRE(workers.run_until([&] { return workers.giver->given() == 300; }));
    CHECK(workers.all_answered("moved"));
    CHECK(small.worker.connection_count() == 200);
}

TEST_CASE("what is acknowledged and has not left belongs to the giver: nothing of it is read") {
    Script script = echo_script();
    ScriptedWorker worker(script);
    RawGiver giver;
    const int smallest = 0;  // the kernel rounds it up: some acknowledgements fit
    REQUIRE(::setsockopt(giver.ends.second.get(), SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) == 0);
    auto receiver = std::make_unique<HandoverReceiver>(
        worker.services().loop, worker.services().connections, std::move(giver.ends.second),
        [&](std::string_view) {
            return HandoverReceiver::Target{worker.module(), 0, AF_INET};
        },
        HandoverReceiver::EndHandler());
    giver.begin("127.0.0.1:0 scripted\n");

    // Until an acknowledgement does not leave: as many connections begin as acknowledgements have left.
    std::vector<std::array<UniqueFd, 2>> pairs;
    std::uint64_t taken = 0;
    while (taken == pairs.size() && pairs.size() < 99) {
        auto [client, accepted] = make_tcp_pair();
        giver.give({CarriedConnection()}, std::array{accepted.get()});
        pairs.push_back({std::move(client), std::move(accepted)});
        REQUIRE(::send(pairs.back()[0].get(), "mine", 4, 0) == 4);
        worker.settle();
        taken = receiver->taken();
    }
    REQUIRE(pairs.size() < 99);
    const auto still_there = [&] {
        char bytes[8];
        return ::recv(pairs.back()[1].get(), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT) == 4;
    };
    CHECK(still_there());
    SUBCASE("the receiver is lost: the giver has all of it") {
        receiver.reset();
        CHECK(still_there());
    }
    SUBCASE("it leaves later: the receiver reads") {
        REQUIRE(worker.run_until([&] {
            while (giver.read_ack()) {
            }
            return receiver->taken() == pairs.size();
        }));
        REQUIRE(worker.run_until([&] { return !still_there(); }));
    }
    SUBCASE("the giver is gone: the receiver keeps it") {
        giver.ends.first.reset();
        REQUIRE(worker.run_until([&] { return receiver->ended(); }));
        CHECK(worker.connection_count() == pairs.size());
        CHECK(worker.run_until([&] { return !still_there(); }));
    }
}

}  // namespace drover::test
