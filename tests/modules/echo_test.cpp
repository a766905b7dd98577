#include "modules/echo/echo.h"

#include "modules/all_modules.h"
#include "tests/support/worker_fixture.h"

#include <string>

#include <doctest/doctest.h>

using namespace drover::test;
using namespace std::chrono_literals;

namespace {

struct EchoServer : WorkerFixture {
    EchoServer() : WorkerFixture(drover::all_modules(), "echo", "[module.echo]\nidle_timeout = \"10s\"\n") {}
};

}  // namespace

TEST_CASE("echo sends back what it receives, and counts it") {
    EchoServer server;
    FixtureClient client(server);
    std::string sent;
    for (int index = 0; index < 100'000; ++index)
        sent += std::to_string(index);
    std::string_view unsent = sent;
    REQUIRE(client.read_until([&] {
        REQUIRE(client.send_some(unsent));
        return client.received().size() >= sent.size();
    }));
    CHECK(client.received() == sent);
    CHECK(server.count("drover_echo_bytes_total") == sent.size());
}

TEST_CASE("echo answers what came before the client's end") {
    EchoServer server;
    FixtureClient client(server);
    REQUIRE(client.send("bye"));
    client.shut_down_sending();
    REQUIRE(client.read_to_end());
    CHECK(client.received() == "bye");
    CHECK_FALSE(client.reset());
}

TEST_CASE("echo lets go of a silent connection, not of one that speaks") {
    EchoServer server;
    FixtureClient client(server);
    server.pass(9s);
    REQUIRE(client.send("x"));
    REQUIRE(client.read_bytes(1));
    server.pass(9s);
    client.read();
    CHECK_FALSE(client.ended());
    server.pass(2s);
    CHECK(client.read_to_end());
}

TEST_CASE("the list of modules names each once") {
    std::string names;
    for (const drover::ModuleFactory factory : drover::all_modules())
        names.append(factory()->name()).append(" ");
    CHECK(names == "http echo observer ");
}
