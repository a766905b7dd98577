#include "core/protocol/packet.h"
#include "tests/worker/scripted_module.h"
#include "worker/handover/handover_giver.h"
#include "worker/handover/handover_receiver.h"
#include "worker/stream/connection_list.h"

#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <sys/mman.h>

using namespace drover;
using namespace drover::test;

namespace {

// Two workers' insides and the channel between them, in one thread.
struct TwoWorkers {
    explicit TwoWorkers(Script& script) : old_worker(script), new_worker(script) {}

    void begin() {
        auto [give, take] = Channel::make_pair();
        giver = std::make_unique<HandoverGiver>(old_worker.services().loop, old_worker.services().connections,
                                                std::vector<std::string>{"127.0.0.1:0 scripted"});
        giver->add_receiver(std::move(give));
        receiver = std::make_unique<HandoverReceiver>(
            new_worker.services().loop, new_worker.services().connections, std::move(take),
            [this](std::string_view name) {
                return HandoverReceiver::Target{name.ends_with("scripted") ? new_worker.module() : nullptr, 0,
                                                AF_INET};
            },
            HandoverReceiver::EndHandler());
        giver->start();
    }
    template <class Predicate>
    bool run_until(Predicate done) {
        return old_worker.run_until([&] {
            new_worker.services().loop.run_once(std::chrono::milliseconds(0));
            return done();
        });
    }
    bool moved(std::size_t count) {
        return run_until(
            [&] { return old_worker.connection_count() == 0 && new_worker.connection_count() == count; });
    }

    ScriptedWorker old_worker;
    ScriptedWorker new_worker;
    std::unique_ptr<HandoverGiver> giver;
    std::unique_ptr<HandoverReceiver> receiver;
};

// Fills the socket with x; returns how many.
std::size_t write_until_it_waits(ScriptedConnection& connection) {
    std::size_t written = 0;
    for (; !connection.output_waits(); written += 100'000)
        connection.write(std::string(100'000, 'x'));
    return written;
}

}  // namespace

TEST_CASE("idle connections move, and go on with the same sockets") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string& state) {
        state = "remember";
        return ScriptedConnection::Move::now;
    };
    script.input = [](ScriptedConnection& connection, std::string_view bytes) {
        connection.write(connection.state() + ":" + std::string(bytes));
        return bytes.size();
    };
    TwoWorkers workers(script);
    std::vector<FixtureClient> clients;
    for (int i = 0; i < 600; ++i)
        clients.emplace_back(workers.old_worker);
    workers.begin();
    REQUIRE(workers.moved(clients.size()));
    for (FixtureClient& client : clients)
        REQUIRE(client.send("hi"));
    for (FixtureClient& client : clients) {
        REQUIRE(workers.run_until([&] {
            client.read();
            return client.received() == "remember:hi";
        }));
        CHECK_FALSE(client.ended());
    }
    CHECK(workers.giver->given() == 600);
    CHECK(workers.receiver->taken() == 600);
}

TEST_CASE("kept input, unsent output and bytes under way arrive once, in order") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        if (bytes.find('\n') == bytes.npos) return 0;
        connection.write("got " + std::string(bytes.substr(0, bytes.size() - 1)));
        return bytes.size();
    };
    TwoWorkers workers(script);
    FixtureClient half(workers.old_worker);
    REQUIRE(half.send("first half, "));
    workers.old_worker.settle();
    FixtureClient slow(workers.old_worker);
    ScriptedConnection* const writer = script.last;
    const std::size_t xs = write_until_it_waits(*writer);
    writer->write(std::string(300'000, 'y'));
    workers.begin();
    REQUIRE(half.send("second half\n"));
    REQUIRE(workers.run_until([&] {
        half.read();
        return half.received() == "got first half, second half";
    }));
    REQUIRE(workers.run_until([&] {
        slow.read();
        return slow.received().size() == xs + 300'000;
    }));
    CHECK(slow.received().find('y') == xs);
    CHECK(slow.received().find('x', xs) == std::string::npos);
    CHECK(workers.moved(2));
}

TEST_CASE("unsent output of several messages moves in parts") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    TwoWorkers workers(script);
    FixtureClient slow(workers.old_worker);
    ScriptedConnection* const writer = script.last;
    const std::size_t written = write_until_it_waits(*writer) + 300'000;
    writer->write(std::string(300'000, 'x'));
    workers.begin();
    REQUIRE(workers.moved(1));
    REQUIRE(workers.run_until([&] {
        slow.read();
        return slow.received().size() == written;
    }));
    CHECK(slow.received().find_first_not_of('x') == std::string::npos);
}

TEST_CASE("a file that is being sent moves in the middle, with what stands before and behind it") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    TwoWorkers workers(script);
    std::string contents;
    contents.resize(30'000'000, 'f');
    UniqueFd memory(::memfd_create("file", MFD_CLOEXEC));
    REQUIRE(::write(memory.get(), contents.data(), contents.size()) == 30'000'000);
    const auto file = std::make_shared<const UniqueFd>(std::move(memory));
    // So many that the two descriptors of each do not fit into one message.
    std::vector<FixtureClient> clients;
    for (int i = 0; i < 150; ++i) {
        clients.emplace_back(workers.old_worker);
        script.last->send_file({file, 0, i < 3 ? contents.size() : 3'000'000});
        script.last->write("behind");
        CHECK(script.last->output_waits());
    }
    workers.begin();
    REQUIRE(workers.moved(clients.size()));
    CHECK(workers.run_until([&] { return file.use_count() == 1; }));
    for (std::size_t i = 0; i < clients.size(); ++i) {
        const std::size_t size = i < 3 ? contents.size() : 3'000'000;
        REQUIRE(workers.run_until([&] {
            clients[i].read();
            return clients[i].received().size() == size + 6;
        }));
        CHECK(clients[i].received().find_first_not_of('f') == size);
        CHECK(clients[i].received().ends_with("behind"));
        clients[i].take_received();
    }
}

TEST_CASE("a connection that has several files to send moves when one is left") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    TwoWorkers workers(script);
    std::string contents;
    contents.resize(9'000'000, 'f');
    UniqueFd memory(::memfd_create("file", MFD_CLOEXEC));
    REQUIRE(::write(memory.get(), contents.data(), contents.size()) == 9'000'000);
    const auto file = std::make_shared<const UniqueFd>(std::move(memory));
    FixtureClient client(workers.old_worker);
    script.last->send_file({file, 0, contents.size()});
    script.last->send_file({file, 0, contents.size()});
    workers.begin();
    for (int round = 0; round < 5; ++round)
        workers.old_worker.settle();
    CHECK(workers.old_worker.connection_count() == 1);
    REQUIRE(workers.run_until([&] {
        client.read();
        return client.received().size() == 2 * contents.size();
    }));
    CHECK(workers.moved(1));
}

TEST_CASE("a busy connection moves after the event that makes it idle; one that cannot move drains") {
    Script script;
    bool busy = true;
    script.hand_over = [&](ScriptedConnection& connection, std::string&) {
        if (connection.state() == "never") return ScriptedConnection::Move::never;
        return busy ? ScriptedConnection::Move::later : ScriptedConnection::Move::now;
    };
    int drained = 0;
    script.drain = [&](ScriptedConnection& connection) {
        ++drained;
        connection.close();
    };
    script.input = [&](ScriptedConnection&, std::string_view bytes) {
        busy = false;
        return bytes.size();
    };
    TwoWorkers workers(script);
    FixtureClient client(workers.old_worker);
    FixtureClient never(workers.old_worker);
    script.last->set_state("never");
    workers.begin();
    REQUIRE(workers.run_until([&] { return drained == 1 && workers.old_worker.connection_count() == 1; }));
    CHECK(workers.new_worker.connection_count() == 0);
    REQUIRE(client.send("done"));
    CHECK(workers.moved(1));
}

TEST_CASE("what a receiver refuses, or had not acknowledged when it was lost, is served on") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    script.input = [](ScriptedConnection& connection, std::string_view bytes) {
        connection.write(bytes);
        return bytes.size();
    };
    TwoWorkers workers(script);
    std::vector<FixtureClient> clients;
    for (int i = 0; i < 300; ++i)
        clients.emplace_back(workers.old_worker);
    SUBCASE("refused") {
        script.refuse = true;
        workers.begin();
        REQUIRE(workers.run_until([&] { return script.refused == 300; }));
    }
    SUBCASE("lost before it read anything") {
        auto [give, take] = Channel::make_pair();
        workers.begin();
        workers.receiver.reset();
        workers.old_worker.settle();
    }
    for (FixtureClient& client : clients) {
        REQUIRE(client.send("still here"));
        REQUIRE(workers.run_until([&] {
            client.read();
            return client.received() == "still here";
        }));
    }
    CHECK(workers.old_worker.connection_count() == 300);
    CHECK(workers.new_worker.connection_count() == 0);
}

TEST_CASE("the next receiver takes what the lost one had not") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    TwoWorkers workers(script);
    std::vector<FixtureClient> clients;
    for (int i = 0; i < 300; ++i)
        clients.emplace_back(workers.old_worker);
    workers.begin();
    workers.receiver.reset();
    workers.old_worker.settle();
    CHECK(workers.old_worker.connection_count() == 300);
    auto [give, take] = Channel::make_pair();
    workers.receiver = std::make_unique<HandoverReceiver>(
        workers.new_worker.services().loop, workers.new_worker.services().connections, std::move(take),
        [&](std::string_view) {
            return HandoverReceiver::Target{workers.new_worker.module(), 0, AF_INET};
        },
        HandoverReceiver::EndHandler());
    workers.giver->add_receiver(std::move(give));
    CHECK(workers.moved(300));
}

TEST_CASE("a connection that ends while it moves is forgotten") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    TwoWorkers workers(script);
    FixtureClient client(workers.old_worker);
    ScriptedConnection* const connection = script.last;
    workers.begin();
    connection->abort();
    workers.old_worker.settle();
    CHECK(workers.run_until([&] { return workers.new_worker.connection_count() == 1; }));
    CHECK(workers.old_worker.connection_count() == 0);
}

TEST_CASE("a connection that is closing and was refused is never offered again") {
    Script script;
    script.refuse = true;
    TwoWorkers workers(script);
    FixtureClient flushing(workers.old_worker);
    write_until_it_waits(*script.last);
    script.last->close();
    FixtureClient lingering(workers.old_worker);
    script.last->close(Connection::Linger::always);
    workers.begin();
    REQUIRE(workers.run_until([&] { return script.refused == 2; }));
    for (int turn = 0; turn < 50; ++turn) {
        workers.giver->look_again();
        workers.run_until([] { return true; });
        workers.old_worker.settle();
        workers.new_worker.settle();
    }
    CHECK(script.refused == 2);
    REQUIRE(workers.run_until([&] {
        flushing.read();
        return flushing.ended();
    }));
    CHECK(workers.new_worker.connection_count() == 0);
}

TEST_CASE("attempts to move a connection give it no more time") {
    Script script;
    int asked = 0;
    script.hand_over = [&](ScriptedConnection&, std::string&) {
        ++asked;
        return ScriptedConnection::Move::now;
    };
    bool passed = false;
    script.time_limit = [&](ScriptedConnection& connection) {
        passed = true;
        connection.abort();
    };
    TwoWorkers workers(script);
    FixtureClient client(workers.old_worker);
    workers.begin();
    workers.receiver.reset();
    workers.old_worker.settle();
    script.last->set_time_limit(std::chrono::milliseconds(500));
    const auto try_in_vain = [&](std::chrono::milliseconds meanwhile) {
        auto [give, take] = Channel::make_pair();
        workers.giver->add_receiver(std::move(give));
        workers.old_worker.settle();
        workers.old_worker.pass(meanwhile);
        take.reset();
        workers.old_worker.settle();
    };
    const int before = asked;
    SUBCASE("it is moving for moments") {
        for (int i = 0; i < 4; ++i) {
            try_in_vain(std::chrono::milliseconds(0));
            workers.old_worker.pass(std::chrono::milliseconds(100));
        }
        CHECK(asked > before);
        workers.old_worker.pass(std::chrono::milliseconds(200));
    }
    SUBCASE("it is moving when its time is up") {
        try_in_vain(std::chrono::milliseconds(600));
        try_in_vain(std::chrono::milliseconds(0));
        CHECK(asked == before + 1);
        workers.old_worker.pass(std::chrono::milliseconds(200));
    }
    CHECK(passed);
}

TEST_CASE("a time limit that has no time left is one") {
    Script script;
    ScriptedWorker worker(script);
    auto [client, accepted] = make_tcp_pair();
    CarriedConnection carried;
    carried.time_limit_ms = 0;
    worker.module()->adopt(Accepted{std::move(accepted), 0, &carried}, {});
    worker.services().connections.begin_adopted(worker.services().connections.close_batch());
    worker.pass(std::chrono::milliseconds(200));
    CHECK(worker.connection_count() == 0);
}

TEST_CASE("when the giver itself closes the channel, what it had sent has one owner") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    script.input = [](ScriptedConnection& connection, std::string_view bytes) {
        connection.write(bytes);
        return bytes.size();
    };
    TwoWorkers workers(script);
    FixtureClient client(workers.old_worker);
    auto [give, take] = Channel::make_pair();
    const auto say = [&end = take](const Hello& hello) {
        MessageHeader header;
        header.type = static_cast<std::uint16_t>(MessageType::hello);
        header.payload_size = sizeof hello;
        REQUIRE(send_packet(end.get(), std::as_bytes(std::span(&header, 1)),
                            std::as_bytes(std::span(&hello, 1)), {}) == PacketSent::sent);
    };
    workers.giver = std::make_unique<HandoverGiver>(workers.old_worker.services().loop,
                                                    workers.old_worker.services().connections,
                                                    std::vector<std::string>{"127.0.0.1:0 scripted"});
    workers.giver->add_receiver(std::move(give));
    workers.giver->start();
    SUBCASE("the receiver, where it had begun to take") {
        say({});
        const std::byte garbage[1]{};
        REQUIRE(send_packet(take.get(), garbage, {}, {}) == PacketSent::sent);
        workers.old_worker.settle();
        workers.receiver = std::make_unique<HandoverReceiver>(
            workers.new_worker.services().loop, workers.new_worker.services().connections, std::move(take),
            [&](std::string_view) {
                return HandoverReceiver::Target{workers.new_worker.module(), 0, AF_INET};
            },
            HandoverReceiver::EndHandler());
        CHECK(workers.moved(1));
    }
    SUBCASE("the giver, where the two have no version in common") {
        say({.oldest = protocol_version + 1, .newest = protocol_version + 1});
        workers.old_worker.settle();
        CHECK(workers.old_worker.connection_count() == 1);
    }
    REQUIRE(client.send("once"));
    REQUIRE(workers.run_until([&] {
        client.read();
        return client.received().size() >= 4;
    }));
    CHECK(client.received() == "once");
}

TEST_CASE("a connection that fails when it is asked to move ends alone; the others move") {
    Script script;
    void (*fail)(ScriptedConnection&) = nullptr;
    SUBCASE("an exception") {
        fail = [](ScriptedConnection&) { throw std::runtime_error("cannot move"); };
    }
    SUBCASE("an exception of another kind") {
        fail = [](ScriptedConnection&) { throw 5; };
    }
    SUBCASE("it has aborted itself") {
        fail = [](ScriptedConnection& connection) { connection.abort(); };
    }
    SUBCASE("it has closed itself") {
        fail = [](ScriptedConnection& connection) { connection.close(); };
    }
    ScriptedConnection* bad = nullptr;
    script.hand_over = [&](ScriptedConnection& connection, std::string&) {
        if (&connection == bad) fail(connection);
        return ScriptedConnection::Move::now;
    };
    TwoWorkers workers(script);
    FixtureClient before(workers.old_worker);
    FixtureClient client(workers.old_worker);
    bad = script.last;
    FixtureClient after(workers.old_worker);
    workers.begin();
    REQUIRE(workers.run_until([&] {
        client.read();
        return client.ended() || client.reset();
    }));
    client.close();
    REQUIRE(workers.moved(2));
    CHECK(workers.giver->given() >= 2);
}

TEST_CASE("a connection that is ended by the next one's hook is not given") {
    Script script;
    std::vector<ScriptedConnection*> asked;
    script.hand_over = [&](ScriptedConnection& connection, std::string&) {
        asked.push_back(&connection);
        if (asked.size() == 2) asked.front()->abort();
        return ScriptedConnection::Move::now;
    };
    TwoWorkers workers(script);
    std::vector<FixtureClient> clients;
    for (int i = 0; i < 8; ++i)
        clients.emplace_back(workers.old_worker);
    workers.begin();
    REQUIRE(workers.moved(clients.size() - 1));
    CHECK(workers.giver->given() == clients.size() - 1);
    CHECK(workers.receiver->taken() == clients.size() - 1);
}

TEST_CASE("a connection whose adopt fails after it was made has one owner: its giver") {
    Script script;
    script.hand_over = [](ScriptedConnection&, std::string&) { return ScriptedConnection::Move::now; };
    bool known = false;
    SUBCASE("an exception") {
        known = true;
    }
    SUBCASE("an exception of another kind") {}
    int failed = 0;
    script.adopted = [&](ScriptedConnection&) {
        ++failed;
        if (known) throw std::runtime_error("cannot go on");
        throw 5;
    };
    script.input = [](ScriptedConnection& connection, std::string_view bytes) {
        connection.write(bytes);
        return bytes.size();
    };
    TwoWorkers workers(script);
    FixtureClient client(workers.old_worker);
    workers.begin();
    REQUIRE(workers.run_until([&] { return failed == 1 && workers.giver->given() == 0; }));
    REQUIRE(client.send("still here"));
    REQUIRE(workers.run_until([&] {
        client.read();
        return client.received() == "still here";
    }));
    CHECK(workers.old_worker.connection_count() == 1);
    CHECK(workers.new_worker.connection_count() == 0);
}
