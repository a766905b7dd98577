// Back-pressure in both directions, half-closed connections and files.
#include "tests/worker/scripted_module.h"
#include "tests/worker/stream/shared_file.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

using namespace drover;
using namespace drover::test;

namespace {

const std::string block(10'000, 'x');

}  // namespace

TEST_CASE("a producer stops at the high mark and goes on below the low one, also when the peer keeps up") {
    Script script;
    constexpr std::size_t total = 40'000'000;
    std::size_t written = 0;
    int rounds = 0;
    const auto produce = [&](ScriptedConnection& connection) {
        ++rounds;
        while (connection.writable() && written < total) {
            connection.write(block);
            written += block.size();
        }
        if (written == total) connection.close();
    };
    script.writable = produce;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        produce(connection);
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("go"));
    // Until the sockets' buffers are full.
    for (std::size_t before = SIZE_MAX; before != written;) {
        before = written;
        worker.settle();
        worker.settle();
    }
    CHECK(written < total);
    std::size_t received = 0;
    REQUIRE(client.read_until([&] {
        received += client.take_received().size();
        return client.ended();
    }));
    CHECK(received == total);
    CHECK(rounds > 10);
}

TEST_CASE("input that was left at the high mark is delivered when there is room again") {
    Script script;
    std::string seen;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        std::size_t used = 0;
        for (; used < bytes.size() && connection.writable(); ++used) {
            seen += bytes[used];
            connection.write(std::string(Connection::output_high_mark, bytes[used]));
        }
        return used;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("abcdefgh"));
    std::string received;
    REQUIRE(client.read_bytes(8 * Connection::output_high_mark));
    CHECK(seen == "abcdefgh");
}

TEST_CASE("a pause stops input, and its end delivers what was kept and what came meanwhile") {
    Script script;
    std::string seen;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        seen += bytes.front();
        connection.pause_input();
        return 1;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("abc"));
    worker.settle();
    REQUIRE(client.send("d"));
    worker.settle();
    CHECK(seen == "a");
    for (const char* expected : {"ab", "abc", "abcd"}) {
        script.last->resume_input();
        REQUIRE(worker.run_until([&] { return seen == expected; }));
    }
    SUBCASE("a reset is noticed in a pause") {
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        client.close();
        CHECK(worker.run_until([&] { return worker.connection_count() == 0; }));
    }
    SUBCASE("an orderly end is noticed after it") {
        client.close();
        worker.settle();
        CHECK(worker.connection_count() == 1);
        script.last->resume_input();
        CHECK(worker.run_until([&] { return worker.connection_count() == 0; }));
    }
}

TEST_CASE("a pause may be ended inside the hook that reads") {
    Script script;
    std::string seen;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        seen += bytes.front();
        connection.pause_input();
        connection.resume_input();
        return 1;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("abc"));
    CHECK(worker.run_until([&] { return seen == "abc"; }));
}

TEST_CASE("the sending side may end alone: input goes on") {
    Script script;
    std::string seen;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        seen += bytes;
        if (seen == "bye") {
            connection.write(std::string(3'000'000, 'z'));
            connection.end_output();
            connection.write("dropped");
        }
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("bye"));
    REQUIRE(client.read_to_end());
    CHECK(client.received().size() == 3'000'000);
    CHECK(worker.connection_count() == 1);
    REQUIRE(client.send(" and more"));
    CHECK(worker.run_until([&] { return seen == "bye and more"; }));
    client.close();
    CHECK(worker.run_until([&] { return worker.connection_count() == 0; }));
}

TEST_CASE("a part of a file goes out between what is written, in a hook and outside") {
    Script script;
    const std::string contents = std::string(5'000'000, 'f') + "end";
    const SharedFd file = make_file("begin" + contents);
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        connection.write("<");
        connection.send_file({file, 5, contents.size()});
        connection.write_borrowed(">");
        CHECK_FALSE(connection.writable());
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("go"));
    REQUIRE(client.read_bytes(contents.size() + 2));
    CHECK(client.take_received() == "<" + contents + ">");
    REQUIRE(worker.run_until([&] { return script.last->writable(); }));
    script.last->send_file({file, 0, 5});
    script.last->write_borrowed("!");
    REQUIRE(client.read_bytes(6));
    CHECK(client.received() == "begin!");
}

TEST_CASE("both addresses are known, and do no harm when the peer is gone") {
    Script script;
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    CHECK(script.last->peer_address() == Address::local_of(client.fd()));
    CHECK(script.last->local_address() == Address::peer_of(client.fd()));
}

TEST_CASE("a hook that resumes without having consumed anything is not called for ever") {
    Script script;
    int calls = 0;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        ++calls;
        connection.resume_input();
        return bytes.ends_with('\n') ? bytes.size() : 0;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("ab"));
    REQUIRE(worker.run_until([&] { return calls == 1; }));
    script.last->in_hook([] {});
    CHECK(calls == 1);
    REQUIRE(client.send("\n"));
    CHECK(worker.run_until([&] { return calls == 2; }));
}
