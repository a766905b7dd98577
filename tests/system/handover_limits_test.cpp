// What may end a connection when its worker leaves, and what may not: the limits of draining and of the
// hand-over, listeners that are no more.
#include "tests/support/long_clients.h"
#include "tests/support/master_under_test.h"
#include "tests/support/ports.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"

#include <string>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

void wait_for_two_processes(MasterUnderTest& master) {
    master.wait_until("no process but the workers", [&] { return children_of(master.pid()).size() == 2; });
}

}  // namespace

TEST_CASE("a drain_timeout of 0 cuts no connection that can move") {
    constexpr std::size_t count = 2000;  // many messages
    if (lacks(raise_descriptor_limit(4 * count), "more descriptors")) return;
    MasterUnderTest master({.drain_timeout = "0s"});
    IdleClients idle(master.http_port(), count);
    CHECK(idle.ask("first") == count);
    for (const char* slot : {"main/0", "main/1", "main/0"}) {
        const CommandResult result = master.cli({"worker", "restart", slot});
        CHECK_MESSAGE(result.code() == 0, result.errors);
    }
    wait_for_two_processes(master);
    CHECK(idle.ask("first") == count);
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    wait_for_two_processes(master);
    CHECK(idle.ask("first") == count);
    master.finish();
}

TEST_CASE("connections of a listener that a hot reload took away move like others, more than once") {
    MasterUnderTest master;
    ReservedPort third;
    const std::string listen =
        "\n[[pool.main.listen]]\naddress = \"" + third.address() + "\"\nmodule = \"http\"\n";
    master.write_config({.rest = listen});
    CHECK(master.control("reload").ok);
    IdleClients idle(third.number(), 20);
    CHECK(idle.ask("first") == 20);
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    CHECK(idle.ask("second") == 20);
    for (int round = 0; round < 2; ++round) {
        CHECK(master.cli({"reload", "--fresh"}).code() == 0);
        wait_for_two_processes(master);
        CHECK(idle.ask("second") == 20);
    }
    master.finish();
}

}  // namespace drover::test
