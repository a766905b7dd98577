// A worker that stands still (SIGSTOP) is replaced, and holds up nobody. A master that stood still does not
// hold it against anybody.
#include "tests/support/contains.h"
#include "tests/support/held_connections.h"
#include "tests/support/http_client.h"
#include "tests/support/long_clients.h"
#include "tests/support/proc.h"
#include "tests/support/shortage.h"
#include "tests/support/trouble_program.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <poll.h>

namespace drover::test {
namespace {

// Several limits pass meanwhile.
void stand_still(const MasterUnderTest& master) {
    REQUIRE(freeze(master.pid()));
    poll(nullptr, 0, 2500);
    master.signal(SIGCONT);
}

}  // namespace

TEST_CASE("a stopped worker is replaced after hang_timeout; who waits in its queue is answered") {
    for (const char* balance : {"reuseport", "shared"}) {
        MasterUnderTest master(
            {.pool = "report_interval = \"100ms\"\nhang_timeout = \"1s\"\n", .balance = balance});
        const pid_t stopped = master.worker_pids().front();
        REQUIRE(freeze(stopped));
        std::vector<HttpClient> clients;
        for (int i = 0; i < 20; ++i) {
            clients.emplace_back(master.http_port());
            clients.back().stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        master.wait_replaced({stopped});
        for (HttpClient& client : clients)
            CHECK(client.read_reply().body == "first");
        CHECK(master.output().find("hangs: no report") != std::string::npos);
        master.finish();
    }
}

TEST_CASE("a worker that hangs is replaced although the master cannot look at it, a little later") {
    MasterUnderTest master({.pool = "report_interval = \"100ms\"\nhang_timeout = \"1s\"\n"});
    const pid_t stopped = master.worker_pids().front();
    {
        const NoDescriptors shortage(master.pid(), NoDescriptors::none_at_all);
        REQUIRE(freeze(stopped));
        master.wait_until(
            "its end", [&] { return master.output().find("hangs: no report") != std::string::npos; },
            Deadline(std::chrono::seconds(30)));
    }
    master.wait_replaced({stopped});
    master.finish();
}

TEST_CASE("while a worker is stopped others get the new connections, and what waits for it") {
    MasterUnderTest master;
    const pid_t stopped = master.worker_pids().front();
    // Some of these wait for the worker that is being stopped.
    std::vector<HttpClient> clients;
    REQUIRE(freeze(stopped));
    for (int i = 0; i < 20; ++i) {
        clients.emplace_back(master.http_port());
        clients.back().stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    master.wait_output("was stopped by a signal");
    for (int i = 0; i < 50; ++i)
        CHECK(master.get() == "first");
    for (HttpClient& client : clients)
        CHECK(client.read_reply().body == "first");
    kill(stopped, SIGCONT);
    master.wait_output(" goes on");
    CHECK(contains(master.worker_pids(), stopped));
    CHECK(master.status().workers.front().deaths == 0);
    master.finish();
}

TEST_CASE("a worker that is stopped and goes on in a circle fills neither the log nor the events") {
    MasterUnderTest master;
    const pid_t worker = master.worker_pids().front();
    for (int i = 0; i < 50; ++i) {
        REQUIRE(freeze(worker));
        // Asked a second time, the master has heard of the stop.
        static_cast<void>(master.status());
        static_cast<void>(master.status());
        kill(worker, SIGCONT);
        static_cast<void>(master.status());
        static_cast<void>(master.status());
    }
    const std::string events = master.cli({"events"}).output;
    std::size_t lines = 0;
    for (std::size_t at = events.find("was stopped"); at != std::string::npos;
         at = events.find("was stopped", at + 1))
        ++lines;
    CHECK(lines >= 1);
    CHECK(lines < 10);
    CHECK(master.get() == "first");
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("a stopped worker does not hold up a fresh reload") {
    MasterUnderTest master({.workers = 3, .master = "reload = \"fresh\"\n"});
    const pid_t stopped = master.worker_pids().front();
    REQUIRE(freeze(stopped));
    master.write_config({.body = "second", .workers = 3, .master = "reload = \"fresh\"\n"});
    CHECK(master.control("reload").ok);
    for (int i = 0; i < 20; ++i)
        CHECK(master.get() == "second");
    master.wait_serving(3);
    CHECK_FALSE(contains(master.worker_pids(), stopped));
    master.finish();
}

TEST_CASE("an old worker that is stopped while it hands over goes with handover_timeout and drain_timeout") {
    const TestConfig first{.workers = 1,
                           .drain_timeout = "1s",
                           .master = "reload = \"fresh\"\n",
                           .pool = "handover_timeout = \"1s\"\n"};
    MasterUnderTest master(first);
    const pid_t old_worker = master.worker_pids().front();
    // A request whose body is under way cannot be handed over yet.
    HttpClient busy(master.http_port());
    busy.stream().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    master.wait_until("the connection", [&] { return master.status().workers.front().connections > 0; });
    TestConfig second = first;
    second.body = "second";
    master.write_config(second);
    CHECK(master.control("reload").ok);
    REQUIRE(freeze(old_worker));
    CHECK(master.get() == "second");
    CHECK(wait_gone(open_pidfd(old_worker)));
    master.wait_serving(1);
    master.finish();
}

TEST_CASE("the status does not show a stopped worker as one that serves") {
    MasterUnderTest master({.workers = 1});
    const auto state_shown = [&master](std::string_view state) {
        const std::string screen = master.cli({"status"}).output;
        return screen.find("main/0", screen.find("WORKER")) != screen.npos &&
               screen.find(state, screen.find("WORKER")) != screen.npos;
    };
    CHECK(state_shown("  serving"));
    REQUIRE(freeze(master.worker_pids().front()));
    master.wait_until("it is shown", [&] { return state_shown("  stands still, silent"); });
    CHECK_FALSE(state_shown("  serving"));
    CHECK(master.cli({"status"}).output.find("degraded: in pool main 0 of 1 workers serve") !=
          std::string::npos);
    master.finish(SIGTERM);
}

TEST_CASE("TERM does not wait for a stopped worker") {
    MasterUnderTest master({.workers = 3});
    REQUIRE(freeze(master.worker_pids().front()));
    master.finish(SIGTERM);
}

TEST_CASE("a master that stood still takes nobody for hanging") {
    MasterUnderTest master({.workers = 20, .pool = "report_interval = \"100ms\"\nhang_timeout = \"1s\"\n"});
    const std::vector<pid_t> workers = master.worker_pids();
    for (int i = 0; i < 2; ++i) {
        stand_still(master);
        const auto status = nlohmann::json::parse(master.cli({"status", "--json"}).output);
        for (const auto& worker : status.at("workers"))
            CHECK(worker.at("heartbeat_age_s").get<double>() < 1);
        // It has looked again when this is done.
        CHECK(master.control("reload").ok);
        CHECK(master.worker_pids() == workers);
    }
    // What hangs is found all the same.
    REQUIRE(freeze(workers.front()));
    master.wait_replaced({workers.front()});
    CHECK(master.output().find("hangs: no report") == master.output().rfind("hangs: no report"));
    master.finish();
}

TEST_CASE("a master that stood still gives a worker that starts all of its start_timeout") {
    const TemporaryFolder folder;
    const std::string stop = folder.file("stop");
    const TestConfig first{.modules = "\"http\", \"echo\", \"trouble\"",
                           .master = "[master.probation]\ntime = \"off\"\n",
                           .pool = "start_timeout = \"2s\"\n",
                           .rest = "\n[module.trouble]\nin_start = \"stop " + stop + "\"\n"};
    MasterUnderTest master(first, trouble_program);
    write_file(stop, "");
    ControlCall call = [&] {
        TestConfig second = first;
        second.body = "second";
        second.master = "reload = \"fresh\"\n" + first.master;
        master.write_config(second);
        return master.start_control("reload");
    }();
    pid_t stopped = 0;
    master.wait_until("a newcomer that stands still", [&] {
        for (const pid_t pid : children_of(master.pid()))
            stopped = state_of(pid) == 'T' ? pid : stopped;
        return stopped != 0;
    });
    stand_still(master);
    kill(stopped, SIGCONT);
    const ControlReply reply = call.wait();
    CHECK_MESSAGE(reply.ok, reply.text);
    CHECK(master.get() == "second");
    master.finish();
}

TEST_CASE(
    "a worker that runs but gets next to no processor does not hang, also when the master cannot look at "
    "it") {
    const std::filesystem::path group = "/sys/fs/cgroup/cpu/drover-test-" + std::to_string(getpid());
    std::error_code error;
    if (!std::filesystem::create_directory(group, error)) return;
    write_file(group / "cpu.cfs_period_us", "1000000");
    write_file(group / "cpu.cfs_quota_us", "1000");
    MasterUnderTest master({.modules = "\"http\", \"echo\", \"trouble\"",
                            .pool = "report_interval = \"50ms\"\nhang_timeout = \"1s\"\n",
                            .rest = "\n[module.trouble]\nlater = \"spin 20\"\nafter = \"500ms\"\n"},
                           {.program = DROVER_TROUBLE_PROGRAM});
    const std::vector<pid_t> workers = master.worker_pids();
    // It needs several of the group's periods for what it does then.
    write_file(group / "cgroup.procs", std::to_string(workers.front()));
    for (const bool short_of_descriptors : {false, true}) {
        std::optional<NoDescriptors> shortage;
        if (short_of_descriptors) shortage.emplace(master.pid(), NoDescriptors::none_at_all);
        poll(nullptr, 0, 5000);
    }
    CHECK(master.worker_pids() == workers);
    CHECK(master.output().find("hangs") == std::string::npos);
    write_file("/sys/fs/cgroup/cpu/cgroup.procs", std::to_string(workers.front()));
    master.finish();
    std::filesystem::remove(group, error);
}

}  // namespace drover::test
