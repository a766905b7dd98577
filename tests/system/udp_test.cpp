// Udp listeners of real masters: whatever the master does with its workers, each datagram is answered, but
// for those that a killed worker had in its hands.
#include "tests/support/counter_watch.h"
#include "tests/support/counting_udp_client.h"
#include "tests/support/held_connections.h"
#include "tests/support/ports.h"
#include "tests/support/proc.h"
#include "tests/support/trouble_program.h"
#include "worker/datagram/datagram_socket.h"

#include <csignal>
#include <set>
#include <string>

#include <doctest/doctest.h>
#include <sys/socket.h>

namespace drover::test {
namespace {

// One udp listener beside the usual ones.
struct UdpSetup {
    explicit UdpSetup(unsigned worker_count, const std::string& module_name = "echo")
        : workers(worker_count), module(module_name), more_modules(module_name) {}

    TestConfig config() const {
        TestConfig config{
            .body = body, .workers = workers, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"};
        for (const std::string& each : {module, more_modules}) {
            if (config.modules.find('"' + each + '"') == std::string::npos)
                config.modules += ", \"" + each + "\"";
        }
        config.rest =
            "\n[[pool.main.listen]]\naddress = \"" + address + "\"\nmodule = \"" + module + "\"\n" + keys;
        return config;
    }
    Address server() const { return Address::parse(address); }

    ReservedPort port;
    std::string address = "udp:" + port.address();
    std::string body = "first";
    std::string keys;
    unsigned workers;
    std::string module;
    std::string more_modules;
};

// More answers have come than there can have been on their way.
void wait_answers(MasterUnderTest& master, const CountingUdpClient& client) {
    const std::uint64_t before = client.answered();
    const Deadline deadline;
    while (client.answered() < before + 500 && !deadline.passed())
        master.get();
    CHECK(client.answered() >= before + 500);
}

std::string counter_of(const std::string& name, const std::string& address) {
    return name + "{pool=\"main\",listener=\"" + address + "\"}";
}

void wait_received(MasterUnderTest& master, const UdpSetup& setup, std::uint64_t wanted) {
    const auto received = [&] {
        return value(reader_of(master), counter_of("drover_datagrams_received_total", setup.address));
    };
    const Deadline deadline;
    while (received() < wanted && !deadline.passed())
        master.get();
    REQUIRE(received() == wanted);
}

}  // namespace

TEST_CASE("udp: every datagram is answered and counted, through hot and fresh reloads and other numbers") {
    for (const unsigned workers : {1U, 3U}) {
        UdpSetup setup(workers);
        MasterUnderTest master(setup.config());
        CHECK(master.output().find(setup.address + " (echo)") != std::string::npos);
        CountingUdpClient client(setup.server());
        wait_answers(master, client);
        for (int round = 0; round < 3; ++round) {
            setup.body = "round " + std::to_string(round);
            setup.keys = "max_datagram = " + std::to_string(1000 + round) + "\n";
            master.write_config(setup.config());
            REQUIRE(master.control("reload").ok);
            CHECK(master.get() == setup.body);
            wait_answers(master, client);
            REQUIRE(master.cli({"reload", "--fresh"}).code() == 0);
            wait_answers(master, client);
        }
        master.signal(SIGTTIN);
        master.wait_serving(workers + 1);
        wait_answers(master, client);
        master.signal(SIGTTOU);
        master.wait_serving(workers);
        wait_answers(master, client);
        REQUIRE(master.cli({"worker", "restart", "main/0"}).code() == 0);
        wait_answers(master, client);
        const CountingUdpClient::Totals totals = client.stop();
        INFO(to_text(totals));
        CHECK(totals.unanswered == 0);
        CHECK(totals.strange == 0);
        const CounterReader reader = reader_of(master);
        const auto counted = [&](const char* name) { return value(reader, counter_of(name, setup.address)); };
        // The last answers may have come before they were counted.
        const Deadline deadline;
        while (counted("drover_datagrams_sent_total") < totals.sent && !deadline.passed())
            master.get();
        CHECK(counted("drover_datagrams_sent_total") == totals.sent);
        CHECK(counted("drover_datagrams_received_total") == totals.sent);
        CHECK(counted("drover_datagrams_received_bytes_total") ==
              counted("drover_datagrams_sent_bytes_total"));
        CHECK(counted("drover_datagram_replies_dropped_total") == 0);
        master.finish();
    }
}

TEST_CASE("udp: a killed worker loses what it had in its hands, and no more") {
    for (const unsigned workers : {1U, 3U}) {
        const UdpSetup setup(workers);
        MasterUnderTest master(setup.config());
        CountingUdpClient client(setup.server());
        constexpr unsigned kills = 6;
        for (unsigned i = 0; i < kills; ++i) {
            wait_answers(master, client);
            const pid_t victim = master.worker_pids()[i % workers];
            kill(victim, SIGKILL);
            master.wait_replaced({victim});
        }
        wait_answers(master, client);
        const CountingUdpClient::Totals totals = client.stop(kills * DatagramSocket::batch);
        INFO(to_text(totals));
        CHECK(totals.unanswered <= kills * DatagramSocket::batch);
        CHECK(totals.strange == 0);
        master.finish();
    }
}

TEST_CASE("udp: what waits while no worker is there is answered by the next one") {
    const UdpSetup setup(2);
    MasterUnderTest master(setup.config());
    const std::vector<pid_t> workers = master.worker_pids();
    for (const pid_t worker : workers)
        REQUIRE(freeze(worker));
    const UdpClient client(setup.server());
    for (int i = 0; i < 50; ++i)
        REQUIRE(client.send(std::to_string(i)));
    for (const pid_t worker : workers)
        kill(worker, SIGKILL);
    master.wait_replaced(workers);
    std::set<std::string> answers;
    for (int i = 0; i < 50; ++i)
        REQUIRE(answers.insert(client.receive().value_or("none")).second);
    CHECK(answers.count("none") == 0);
    master.finish();
}

TEST_CASE("udp: a stop answers what was sent before it, and then the port is free") {
    const UdpSetup setup(2);
    MasterUnderTest master(setup.config());
    const UdpClient client(setup.server());
    for (int i = 0; i < 50; ++i)
        REQUIRE(client.send(std::to_string(i)));
    master.signal(SIGTERM);
    std::set<std::string> answers;
    INFO(master.output());
    for (int i = 0; i < 50; ++i)
        REQUIRE(answers.insert(client.receive().value_or("none")).second);
    CHECK(answers.count("none") == 0);
    CHECK(master.wait_exit().code == 0);
    master.verify_clean();
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Address address = setup.server();
    CHECK(::bind(socket.get(), address.data(), address.size()) == 0);
}

TEST_CASE("udp: listeners come and go with hot reloads, on addresses that tcp has, too") {
    UdpSetup setup(2);
    MasterUnderTest master(setup.config());
    const UdpClient client(setup.server());
    REQUIRE(client.send("one"));
    CHECK(client.receive() == "one");
    const std::vector<pid_t> workers = master.worker_pids();
    for (int round = 0; round < 3; ++round) {
        TestConfig without = setup.config();
        without.rest.clear();
        master.write_config(without);
        REQUIRE(master.control("reload").ok);
        const UdpClient refused(setup.server());
        // An ICMP message says that nobody is there any more (udp(7)).
        CHECK(refused.send("?"));
        pollfd error{refused.fd(), 0, 0};
        CHECK(::poll(&error, 1, Deadline().remaining_ms()) == 1);
        master.write_config(setup.config());
        REQUIRE(master.control("reload").ok);
        REQUIRE(client.send("two"));
        // The first answer may be that message of the time between.
        CHECK(client.receive() == "two");
    }
    setup.address = "udp:127.0.0.1:" + std::to_string(master.http_port());
    master.write_config(setup.config());
    REQUIRE(master.control("reload").ok);
    const UdpClient other(setup.server());
    REQUIRE(other.send("three"));
    CHECK(other.receive() == "three");
    CHECK(master.get() == "first");
    CHECK(master.worker_pids() == workers);
    master.finish();
}

TEST_CASE("udp: a worker that leaves gives the answers that it owes") {
    const UdpSetup setup(1, "trouble");
    MasterUnderTest master(setup.config(), trouble_program);
    const UdpClient client(setup.server());
    for (std::uint64_t round = 1; round <= 2; ++round) {
        REQUIRE(client.send("keep"));
        wait_received(master, setup, round);
        if (round == 1) REQUIRE(master.cli({"reload", "--fresh"}).code() == 0);
        if (round == 2) master.signal(SIGTERM);
        INFO(round, master.output());
        CHECK(client.receive().value_or("no answer") == "kept until now");
    }
    CHECK(master.wait_exit().code == 0);
    master.verify_clean();
}

TEST_CASE("udp: a listener that a hot reload gives to another module keeps its socket and return addresses") {
    UdpSetup setup(1, "trouble");
    MasterUnderTest master(setup.config(), trouble_program);
    const std::vector<pid_t> workers = master.worker_pids();
    const UdpClient client(setup.server());
    REQUIRE(client.send("keep"));
    wait_received(master, setup, 1);
    setup.module = "echo";
    master.write_config(setup.config());
    REQUIRE(master.control("reload").ok);
    CHECK(master.worker_pids() == workers);
    REQUIRE(client.send("echo has it"));
    CHECK(client.receive().value_or("no answer") == "echo has it");
    master.signal(SIGTERM);
    CHECK(client.receive().value_or("no answer") == "kept until now");
    CHECK(master.wait_exit().code == 0);
    master.verify_clean();
}

TEST_CASE("udp: what waits on a listener that a hot reload takes away is answered") {
    UdpSetup setup(1);
    setup.more_modules = "trouble";
    MasterUnderTest master(setup.config(), trouble_program);
    const pid_t worker = master.worker_pids().front();
    const UdpClient client(setup.server());
    // It stops when it takes the listener away.
    const std::string once = master.folder().file("once");
    write_file(once, "");
    TestConfig without = setup.config();
    without.rest = "\n[module.trouble]\nin_commit = \"stop " + once + "\"\n";
    master.write_config(without);
    master.signal(SIGHUP);
    master.wait_until("it stops", [&] { return state_of(worker) == 'T'; });
    for (int i = 0; i < 100; ++i)
        REQUIRE(client.send(std::to_string(i)));
    kill(worker, SIGCONT);
    for (int i = 0; i < 100; ++i)
        REQUIRE(client.receive().value_or("none") == std::to_string(i));
    master.finish();
}

TEST_CASE("udp: the log says what a worker without a deadline waits for") {
    const UdpSetup setup(1, "trouble");
    MasterUnderTest master(setup.config(), trouble_program);
    const UdpClient client(setup.server());
    REQUIRE(client.send("hold"));
    wait_received(master, setup, 1);
    master.signal(SIGQUIT);
    master.wait_output("1 workers with 0 connections (1 return addresses are kept)");
    master.signal(SIGINT);
    CHECK(master.wait_exit().code == 0);
    master.verify_clean();
}

TEST_CASE("udp: what a module throws is counted and said, and the next datagram comes") {
    const UdpSetup setup(1, "trouble");
    MasterUnderTest master(setup.config(), trouble_program);
    const UdpClient client(setup.server());
    for (int i = 0; i < 10; ++i)
        REQUIRE(client.send("throw"));
    REQUIRE(client.send("nothing"));
    CHECK(client.receive() == "ok");
    CHECK(value(reader_of(master), counter_of("drover_datagrams_failed_total", setup.address)) == 10);
    master.wait_output("datagram: trouble was asked for (said once a second)");
    master.finish();
}

TEST_CASE("udp: wrong listeners are refused, at the start and in a reload, and nothing changes") {
    UdpSetup setup(2);
    MasterUnderTest master(setup.config());
    const UdpClient client(setup.server());
    const auto refused = [&](const std::string& reason) {
        master.write_config(setup.config());
        const CommandResult checked = master.cli({"check"});
        CHECK(checked.code() == 78);
        CHECK_MESSAGE(checked.errors.find(reason) != std::string::npos, checked.errors);
        CHECK_FALSE(master.control("reload").ok);
        REQUIRE(client.send("still"));
        CHECK(client.receive() == "still");
    };
    setup.module = "http";
    refused("pool.main.listen[2].module: the module \"http\" takes no datagrams");
    setup.module = "echo";
    setup.keys = "balance = \"reuseport\"\n";
    refused("pool.main.listen[2].balance: a listener for datagrams has one socket for all workers");
    setup.keys = "backlog = 5\n";
    refused("pool.main.listen[2].backlog: means nothing to a listener for datagrams");
    setup.keys.clear();
    setup.address = "udp:elsewhere:53";
    refused("pool.main.listen[2].address: ");
    // Somebody else has it: the configuration is right, the reload is not.
    const ReservedPort taken;
    setup.address = "udp:" + taken.address();
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const Address address = Address::parse(setup.address);
    REQUIRE(::bind(socket.get(), address.data(), address.size()) == 0);
    master.write_config(setup.config());
    const ControlReply reply = master.control("reload");
    CHECK_FALSE(reply.ok);
    REQUIRE(client.send("still"));
    CHECK(client.receive() == "still");
    master.finish();
}

}  // namespace drover::test
