// What nothing on purpose may break: connections that live through reloads, busy, idle or in mid-stream.
#include "tests/support/busy_clients.h"
#include "tests/support/http_load.h"
#include "tests/support/long_clients.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"
#include "tests/support/worker_count.h"

#include <algorithm>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

// Reloads, each as soon as the one before has its verdict. `fresh`: with new workers.
void reload_times(MasterUnderTest& master, TestConfig config, int times, bool fresh) {
    for (int i = 0; i < times; ++i) {
        config.body = "round " + std::to_string(i);
        master.write_config(config);
        if (fresh) {
            const CommandResult result = master.cli({"reload", "--fresh"});
            REQUIRE_MESSAGE(result.code() == 0, result.errors);
        } else {
            const ControlReply reply = master.control("reload");
            REQUIRE_MESSAGE(reply.ok, reply.text);
        }
    }
}

// Every client has been answered this many times more: what happens next meets them all in full swing.
void wait_replies(MasterUnderTest& master, const BusyClients& clients, std::uint64_t more) {
    const std::uint64_t before = clients.replies();
    master.wait_until("replies", [&] { return clients.replies() >= before + more; });
}

void check_busy_connections(const std::string& balance, bool fresh) {
    const TestConfig config{.body = "round x", .balance = balance};
    MasterUnderTest master(config);
    BusyClients clients(master.http_port(), 64, "round ");
    wait_replies(master, clients, 640);
    const std::vector<pid_t> before = master.worker_pids();
    reload_times(master, config, 15, fresh);
    wait_replies(master, clients, 640);
    const BusyClients::Totals totals = clients.stop();
    CHECK_MESSAGE(totals.nothing_lost(), to_text(totals));
    CHECK_MESSAGE(totals.replies == totals.requests, to_text(totals));
    CHECK(master.status().generation == 16);
    master.wait_serving(2);
    CHECK((master.worker_pids() == before) == !fresh);
    master.finish();
}

void check_idle_connections(const std::string& balance) {
    constexpr std::size_t count = 1000;
    if (lacks(raise_descriptor_limit(4 * count), "more descriptors")) return;
    const TestConfig config{.body = "old", .workers = 1, .balance = balance};
    MasterUnderTest master(config);
    IdleClients clients(master.http_port(), count);
    CHECK(clients.ask("old") == count);
    const pid_t before = master.worker_pids().front();
    const UniqueFd old_worker = open_pidfd(before);
    master.write_config({.body = "new", .workers = 1, .balance = balance});
    REQUIRE(master.cli({"reload", "--fresh"}).code() == 0);
    CHECK(wait_gone(old_worker));
    CHECK(clients.ask("new") == count);
    master.wait_serving(1);
    CHECK(master.worker_pids().front() != before);
    master.finish();
}

void check_streams(const std::string& balance) {
    const TestConfig config{.body = "round x", .balance = balance};
    MasterUnderTest master(config);
    EchoStreams streams(master.echo_port(), 8);
    master.wait_until("bytes", [&] { return streams.received() > 1'000'000; });
    for (int i = 0; i < 10; ++i) {
        reload_times(master, config, 1, true);
        const std::uint64_t before = streams.received();
        master.wait_until("bytes", [&] { return streams.received() > before + 1'000'000; });
    }
    const EchoStreams::Totals totals = streams.finish();
    CHECK(totals.wrong == 0);
    CHECK(totals.cut == 0);
    CHECK(totals.received == totals.sent);
    master.wait_serving(2);
    master.finish();
}

void check_new_connections(const std::string& balance) {
    TestConfig config{.workers = 4, .balance = balance};
    MasterUnderTest master(config);
    HttpLoad load(master.http_port());
    for (const unsigned workers : {1U, 8U, 1U, 4U, 1U, 8U, 1U, 4U}) {
        config.workers = workers;
        master.write_config(config);
        REQUIRE(master.control("reload").ok);
        master.wait_serving(workers);
    }
    load.stop();
    CHECK(load.replies() > 0);
    CHECK_MESSAGE(load.failures() == 0, load.failures()
                                            << " failed, the first with: " << load.first_failure());
    master.finish();
}

// One after the other, without a pause; the workers before the last one may still be leaving then.
void reload_and_wait(MasterUnderTest& master, const TestConfig& config, int times) {
    reload_times(master, config, times, true);
    master.wait_until("no process but the workers",
                      [&] { return children_of(master.pid()).size() == config.workers; });
}

std::size_t pss_kb_of_all(MasterUnderTest& master) {
    std::size_t sum = pss_kb_of(master.pid());
    for (const pid_t worker : master.worker_pids())
        sum += pss_kb_of(worker);
    return sum;
}

}  // namespace

TEST_CASE("64 busy connections and hot reloads: every request is answered, no connection closed") {
    check_busy_connections("reuseport", false);
    check_busy_connections("shared", false);
}
TEST_CASE("64 busy connections and fresh reloads: every request is answered, no connection closed") {
    check_busy_connections("reuseport", true);
    check_busy_connections("shared", true);
}

TEST_CASE("1,000 idle connections are handed over, and the old worker goes") {
    check_idle_connections("reuseport");
    check_idle_connections("shared");
}

TEST_CASE("streams through fresh reloads: every byte comes back once, in order") {
    check_streams("reuseport");
    check_streams("shared");
}

TEST_CASE("no new connection fails while workers go from 4 to 1 to 8") {
    check_new_connections("reuseport");
    check_new_connections("shared");
}

TEST_CASE("workers do not pile up over reloads with long connections, and memory is what it was") {
    constexpr std::size_t count = 300;
    const TestConfig config{.body = "round x"};
    MasterUnderTest master(config);
    IdleClients clients(master.http_port(), count);
    CHECK(clients.ask("round x") == count);
    reload_and_wait(master, config, 5);
    CHECK(clients.ask("round 4") == count);
    const std::size_t pss_kb = pss_kb_of_all(master);
    WorkerCount seen(master.pid());
    reload_and_wait(master, config, 20);
    CHECK(seen.stop() <= 4);
    CHECK(clients.ask("round 19") == count);
    // AddressSanitizer keeps freed memory for a while.
    if (!sanitizers) CHECK(pss_kb_of_all(master) <= pss_kb + 1024);
    master.finish();
}

TEST_CASE("clients that are slow over their request keep no worker of an old generation") {
    const TestConfig config{.body = "round x"};
    MasterUnderTest master(config);
    SlowClients clients(master.http_port(), 30);
    WorkerCount seen(master.pid());
    reload_and_wait(master, config, 5);
    CHECK(seen.stop() <= 4);
    CHECK(clients.finish() == 30);
    master.finish();
}

}  // namespace drover::test
