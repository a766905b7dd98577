#include "worker/stream/connection.h"

#include "tests/worker/scripted_module.h"
#include "worker/stream/connection_list.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;
using namespace drover::test;
using namespace std::chrono_literals;

namespace {

const std::string large(4 * 1024 * 1024, 'x');  // more than two socket buffers take

// In all epoll instances of this process (proc(5), fdinfo).
std::size_t count_watched_descriptors() {
    std::size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::ifstream info(each.path());
        for (std::string line; std::getline(info, line);)
            if (line.starts_with("tfd:")) ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("input that is not consumed is kept and comes first next time") {
    Script script;
    std::vector<std::string> seen;
    script.input = [&](ScriptedConnection&, std::string_view bytes) -> std::size_t {
        seen.emplace_back(bytes);
        return bytes.ends_with('\n') ? bytes.size() : seen.size() == 1 ? 2 : 0;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("abcd"));
    REQUIRE(worker.run_until([&] { return seen.size() == 1; }));
    REQUIRE(client.send("ef\n"));
    REQUIRE(worker.run_until([&] { return seen.size() == 2; }));
    CHECK(seen == std::vector<std::string>{"abcd", "cdef\n"});
}

TEST_CASE("all that a hook writes arrives in order, with what is written later outside of hooks") {
    Script script;
    script.input = [](ScriptedConnection& connection, std::string_view bytes) {
        for (const char byte : bytes)
            connection.write(std::string(2, byte));
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("abc"));
    REQUIRE(client.read_bytes(6));
    script.last->write("later");
    REQUIRE(client.read_bytes(11));
    CHECK(client.received() == "aabbcclater");
}

TEST_CASE(
    "output that the peer does not take waits; nothing is read meanwhile; on_sent tells when it has left") {
    Script script;
    int inputs = 0;
    int sent = 0;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        ++inputs;
        CHECK(connection.writable());
        connection.write(large);
        CHECK_FALSE(connection.writable());
        return bytes.size();
    };
    script.sent = [&](ScriptedConnection& connection) {
        ++sent;
        CHECK(connection.writable());
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("1"));
    REQUIRE(worker.run_until([&] { return inputs == 1; }));
    CHECK(script.last->output_waits());
    REQUIRE(client.send("2"));
    worker.settle();
    CHECK(inputs == 1);
    REQUIRE(client.read_bytes(large.size()));
    REQUIRE(worker.run_until([&] { return inputs == 2; }));
    CHECK(sent == 1);
    REQUIRE(client.read_bytes(2 * large.size()));
    CHECK(client.received().find_first_not_of('x') == std::string::npos);
}

TEST_CASE("input left while output waited is delivered when it has left") {
    Script script;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        if (!connection.writable()) return 0;
        connection.write(bytes.substr(0, 1) == "L" ? std::string_view(large) : bytes.substr(0, 1));
        return 1;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("Lb"));
    REQUIRE(client.read_bytes(large.size() + 1));
    CHECK(client.received().back() == 'b');
}

TEST_CASE("close sends everything first and ends without a reset although input is unread") {
    Script script;
    script.input = [&](ScriptedConnection& connection, std::string_view) -> std::size_t {
        connection.write(large);
        connection.close();
        connection.write("dropped");
        return 0;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("request and more"));
    REQUIRE(client.read_to_end());
    CHECK(client.ended());
    CHECK_FALSE(client.reset());
    CHECK(client.received().size() == large.size());
    CHECK(worker.connection_count() == 1);  // lingers until the peer closes, too
    client.close();
    REQUIRE(worker.run_until([&] { return worker.connection_count() == 0; }));
    CHECK(script.destroyed == 1);
}

TEST_CASE("a lingering close discards what still comes, and ends by its time limit") {
    Script script;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        connection.write("no");
        connection.close(Connection::Linger::always);
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("x"));
    REQUIRE(client.read_to_end());
    REQUIRE(client.send(std::string(100'000, 'y')));
    worker.settle();
    CHECK(worker.connection_count() == 1);
    worker.pass(Connection::linger_time + 200ms);
    CHECK(worker.connection_count() == 0);
}

TEST_CASE("a close with nothing unread needs no lingering") {
    Script script;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        connection.write("bye");
        connection.close();
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("x"));
    REQUIRE(worker.run_until([&] { return worker.connection_count() == 0; }));
    REQUIRE(client.read_to_end());
    CHECK(client.ended());
    CHECK(client.received() == "bye");
}

TEST_CASE("a peer that never takes the last output loses the connection after flush_time") {
    Script script;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        connection.write(large);
        connection.close();
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    REQUIRE(client.send("x"));
    REQUIRE(worker.run_until([&] { return script.last->closing(); }));
    worker.settle();
    CHECK(worker.connection_count() == 1);
    worker.pass(Connection::flush_time + 200ms);
    CHECK(worker.connection_count() == 0);
}

TEST_CASE("abort and close are safe in every hook, and no hook is called afterwards") {
    Script script;
    bool abort = false;
    SUBCASE("abort") {
        abort = true;
    }
    SUBCASE("close") {}
    int calls = 0;
    const auto end = [&](ScriptedConnection& connection) {
        ++calls;
        abort ? connection.abort() : connection.close();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    SUBCASE("on_input") {
        script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
            end(connection);
            return bytes.size();
        };
        REQUIRE(client.send("x"));
        REQUIRE(worker.run_until([&] { return worker.connection_count() == 0; }));
        CHECK(calls == 1);
    }
    SUBCASE("on_end_of_input") {
        script.end_of_input = end;
        client.shut_down_sending();
        REQUIRE(worker.run_until([&] { return worker.connection_count() == 0; }));
        CHECK(calls == 1);
    }
    SUBCASE("on_time_limit") {
        script.time_limit = end;
        script.last->set_time_limit(1s);
        worker.pass(1200ms);
        CHECK(worker.connection_count() == 0);
        CHECK(calls == 1);
    }
    SUBCASE("on_drain") {
        script.drain = end;
        FixtureClient other(worker);
        worker.drain();
        CHECK(worker.connection_count() == 0);
        CHECK(calls == 2);
    }
    const int before = calls;
    worker.pass(60s);
    worker.settle();
    CHECK(calls == before);
    CHECK(script.destroyed == before);
}

TEST_CASE("an exception in a hook ends that connection alone") {
    Script script;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) {
        if (bytes == "throw") throw std::runtime_error("no");
        if (bytes == "throw 5") throw 5;
        connection.write(bytes);
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient good(worker);
    FixtureClient bad(worker);
    SUBCASE("of the standard library") {
        REQUIRE(bad.send("throw"));
    }
    SUBCASE("of another kind") {
        REQUIRE(bad.send("throw 5"));
    }
    REQUIRE(bad.read_to_end());
    REQUIRE(good.send("still here"));
    REQUIRE(good.read_bytes(10));
    CHECK(worker.connection_count() == 1);
}

TEST_CASE("a hook may write to, resume and end another connection") {
    Script script;
    ScriptedConnection* first = nullptr;
    bool hold = true;
    script.input = [&](ScriptedConnection& connection, std::string_view bytes) -> std::size_t {
        if (&connection == first) {
            if (hold) return 0;
            connection.write("first:" + std::string(bytes));
            return bytes.size();
        }
        hold = false;
        connection.write("before ");
        first->resume_input();
        first->write(" and more");
        connection.write("after");
        first->close();
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient one(worker);
    first = script.last;
    FixtureClient two(worker);
    REQUIRE(one.send("kept"));
    worker.settle();
    CHECK(one.received().empty());
    REQUIRE(two.send("go"));
    REQUIRE(two.read_bytes(12));
    CHECK(two.received() == "before after");
    REQUIRE(one.read_to_end());
    CHECK(one.received() == "first:kept and more");
    CHECK(worker.connection_count() == 1);
}

TEST_CASE("reading stops when a module leaves too much, and goes on when it resumes") {
    Script script;
    std::size_t offered = 0;
    bool consume = false;
    script.input = [&](ScriptedConnection&, std::string_view bytes) {
        offered = bytes.size();
        return consume ? bytes.size() : 0;
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    const std::string endless(64 * 1024 * 1024, 'y');
    std::string_view left = endless;
    REQUIRE(
        worker.run_until([&] { return client.send_some(left) && offered >= Connection::max_kept_input; }));
    for (int i = 0; i < 20; ++i) {
        client.send_some(left);
        worker.settle();
    }
    CHECK(offered < Connection::max_kept_input + ConnectionList::scratch_size);
    CHECK_FALSE(left.empty());
    consume = true;
    script.last->resume_input();
    CHECK(worker.run_until([&] { return client.send_some(left) && left.empty(); }));
}

TEST_CASE("the end of input with output under way does not lose the output, and does not spin") {
    Script script;
    script.input = [&](ScriptedConnection&, std::string_view bytes) { return bytes.size(); };
    int ends = 0;
    script.end_of_input = [&](ScriptedConnection& connection) {
        ++ends;
        connection.write("last words");
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    client.shut_down_sending();
    REQUIRE(client.read_bytes(10));
    worker.settle();
    CHECK(ends == 1);
    CHECK(worker.connection_count() == 1);
    script.last->close();
    REQUIRE(client.read_to_end());
    CHECK(worker.connection_count() == 0);
}

TEST_CASE("a connection that comes while the worker drains is told so, once") {
    Script script;
    int told = 0;
    script.drain = [&](ScriptedConnection& connection) {
        ++told;
        connection.write("last words");
        connection.close();
    };
    ScriptedWorker worker(script);
    worker.drain();
    FixtureClient client(worker);
    CHECK(client.read_to_end());
    CHECK(client.received() == "last words");
    CHECK(told == 1);
    CHECK(worker.connection_count() == 0);
}

TEST_CASE("input that was there before the connection was looked at waits while it is paused") {
    Script script;
    int inputs = 0;
    script.input = [&](ScriptedConnection&, std::string_view bytes) {
        ++inputs;
        return bytes.size();
    };
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    script.last->pause_input();
    std::string_view bytes = "early";
    REQUIRE(client.send_some(bytes));
    worker.settle();
    CHECK(inputs == 0);
    script.last->resume_input();
    CHECK(worker.run_until([&] { return inputs == 1; }));
}

TEST_CASE("output that waits leaves although its connection was closed before it was looked at") {
    Script script;
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    std::size_t written = 0;
    for (; !script.last->output_waits(); written += large.size())
        script.last->write(large);
    script.last->close();
    CHECK(client.read_to_end());
    CHECK(client.received().size() == written);
}

TEST_CASE("an exception in what runs as a hook ends that connection, also one that is closing") {
    Script script;
    ScriptedWorker worker(script);
    FixtureClient client(worker);
    worker.settle();
    ScriptedConnection* const connection = script.last;
    SUBCASE("open") {}
    SUBCASE("closing") {
        while (!connection->output_waits())
            connection->write(std::string(100'000, 'x'));
        connection->close();
    }
    connection->in_hook([] { throw std::runtime_error("no"); });
    worker.settle();
    CHECK(worker.connection_count() == 0);
}

TEST_CASE("a duplicate that a module keeps of a connection's socket does not outlive it in the poller") {
    Script script;
    ScriptedWorker worker(script);
    FixtureClient other(worker);
    worker.settle();
    const std::size_t watched = count_watched_descriptors();
    FixtureClient client(worker);
    worker.settle();
    REQUIRE(count_watched_descriptors() == watched + 1);
    const UniqueFd duplicate(check_call(::fcntl(script.last->fd(), F_DUPFD_CLOEXEC, 0), "fcntl"));
    script.last->abort();
    CHECK(count_watched_descriptors() == watched);
}
