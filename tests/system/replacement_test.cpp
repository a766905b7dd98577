// Workers that are replaced on purpose: by an operator, by age, by memory, by connections.
#include "tests/support/http_load.h"
#include "tests/support/long_clients.h"
#include "tests/support/trouble_program.h"

#include <algorithm>
#include <memory>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

pid_t pid_in(const StatusView& view, unsigned slot) {
    for (const WorkerView& worker : view.workers) {
        if (worker.slot == slot && worker.state == "serving") return worker.pid;
    }
    return 0;
}

bool has_pid(const StatusView& view, pid_t pid) {
    const std::vector<pid_t> pids = view.pids();
    return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

// Kept-alive connections that were opened before the replacement answer after it, on the same socket.
struct KeptConnections {
    std::vector<std::unique_ptr<HttpClient>> clients;

    explicit KeptConnections(std::uint16_t port) {
        for (int i = 0; i < 20; ++i) {
            clients.push_back(std::make_unique<HttpClient>(port));
            REQUIRE(clients.back()->get().status == 200);
        }
    }
    void check() {
        for (const auto& client : clients)
            CHECK(client->get().status == 200);
    }
};

}  // namespace

TEST_CASE("worker restart replaces one worker, and its connections go on") {
    MasterUnderTest master;
    KeptConnections idle(master.http_port());
    const StatusView before = master.status();
    HttpLoad load(master.http_port());
    const CommandResult result = master.cli({"worker", "restart", "main/1"});
    CHECK_MESSAGE(result.code() == 0, result.errors);
    const StatusView after = master.status();
    CHECK(pid_in(after, 0) == pid_in(before, 0));
    CHECK(pid_in(after, 1) != pid_in(before, 1));
    CHECK_MESSAGE(result.output == "worker main/1 (pid " + std::to_string(pid_in(after, 1)) + ") serves\n",
                  result.output);
    master.wait_until("the old one to leave", [&] { return !has_pid(master.status(), pid_in(before, 1)); });
    idle.check();
    load.stop();
    CHECK(load.replies() > 0);
    CHECK_MESSAGE(load.failures() == 0, load.first_failure());
    const StatusView end = master.status();
    CHECK(end.generation == 1);
    CHECK(end.workers.size() == 2);
    CHECK(end.counters.at("drover_connections_handed_over_total") > 0);
    for (const WorkerView& worker : end.workers)
        CHECK(worker.deaths == 0);
    master.finish();
}

TEST_CASE("worker restart says what is wrong") {
    MasterUnderTest master;
    const auto check = [&](const std::vector<std::string>& arguments, int code, const std::string& text) {
        const CommandResult result = master.cli(arguments);
        CHECK(result.code() == code);
        CHECK_MESSAGE(result.errors.find(text) != std::string::npos, result.errors);
    };
    check({"worker", "restart", "main/7"}, 1, "there is no worker main/7");
    check({"worker", "restart", "other/0"}, 1, "there is no worker other/0");
    check({"worker", "restart", "main"}, 2, "write POOL/SLOT");
    check({"worker", "restart", "main/x"}, 2, "write POOL/SLOT");
    check({"worker", "destroy", "main/0"}, 2, "restart is");
    check({"workers", "0"}, 2, "1 to 1024");
    check({"workers", "1025"}, 2, "1 to 1024");
    check({"workers", "3", "--pool", "other"}, 1, "there is no pool \"other\"");
    master.finish();
}

TEST_CASE("a worker that cannot be replaced stays") {
    const TemporaryFolder folder;
    const std::string orders = folder.file("orders");
    MasterUnderTest master({.modules = "\"http\", \"echo\", \"trouble\"",
                            .rest = "\n[module.trouble]\nin_start = \"obey " + orders + "\"\n"},
                           trouble_program);
    const std::vector<pid_t> before = master.worker_pids();
    KeptConnections idle(master.http_port());
    for (const char* trouble : {"throw", "crash", "exit"}) {
        write_file(orders, trouble);
        const CommandResult result = master.cli({"worker", "restart", "main/0"});
        CHECK(result.code() == 1);
        CHECK_MESSAGE(result.errors.find("worker main/0 (pid ") != std::string::npos, result.errors);
        CHECK(master.worker_pids() == before);
    }
    const StatusView view = master.status();
    CHECK(view.state == "running");
    CHECK(view.workers.front().deaths == 0);
    idle.check();
    CHECK(master.cli({"worker", "restart", "main/0"}).code() == 0);
    idle.check();
    master.finish();
}

TEST_CASE("a worker that somebody tells to leave hands its connections to a successor") {
    for (const int signal : {SIGTERM, SIGQUIT}) {
        MasterUnderTest master({.workers = 1});
        KeptConnections idle(master.http_port());
        const pid_t before = master.worker_pids().front();
        kill(before, signal);
        master.wait_until("a successor", [&] { return !has_pid(master.status(), before); });
        master.wait_serving(1);
        idle.check();
        CHECK(master.status().counters.at("drover_connections_handed_over_total") == 20);
        master.wait_output("takes over from worker main/0 (pid " + std::to_string(before) + ")");
        master.finish();
    }
}

TEST_CASE("a worker is recycled after so many connections, one at a time") {
    MasterUnderTest master({.pool = "report_interval = \"50ms\"\nrecycle = { connections = 200 }\n"});
    const std::vector<pid_t> before = master.worker_pids();
    KeptConnections idle(master.http_port());
    HttpLoad load(master.http_port());
    bool two_at_once = false;
    master.wait_until("both to be replaced", [&] {
        const StatusView view = master.status();
        const auto starting =
            std::count_if(view.workers.begin(), view.workers.end(),
                          [](const WorkerView& worker) { return worker.state == "starting"; });
        two_at_once = two_at_once || starting > 1;
        return !has_pid(view, before[0]) && !has_pid(view, before[1]);
    });
    load.stop();
    CHECK_FALSE(two_at_once);
    CHECK_MESSAGE(load.failures() == 0, load.first_failure());
    idle.check();
    master.wait_output("is being replaced: it has accepted ");
    master.finish();
}

TEST_CASE("a worker is recycled at an age, also when nothing happens") {
    MasterUnderTest master(
        {.workers = 1, .pool = "report_interval = \"50ms\"\nrecycle = { age = \"1s\" }\n"});
    const pid_t before = master.worker_pids().front();
    master.wait_until("another one", [&] { return !has_pid(master.status(), before); });
    master.wait_output("is being replaced: it is 1 s old");
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("workers N gives a pool its size, and no connection fails") {
    MasterUnderTest master;
    HttpLoad load(master.http_port());
    for (const char* count : {"5", "1", "3", "3"}) {
        const CommandResult result = master.cli({"workers", count});
        CHECK_MESSAGE(result.code() == 0, result.errors);
        CHECK(result.output == "pool main: " + std::string(count) + " workers serve\n");
    }
    CHECK(master.cli({"workers", "2", "--pool", "main"}).code() == 0);
    load.stop();
    CHECK_MESSAGE(load.failures() == 0, load.first_failure());
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("a worker that is told to leave by somebody else gives all its connections, however many") {
    REQUIRE(raise_descriptor_limit(4096));
    MasterUnderTest master({.workers = 1});
    drover::test::IdleClients idle(master.http_port(), 2000);
    CHECK(idle.ask("first") == 2000);
    const pid_t before = master.worker_pids().front();
    kill(before, SIGTERM);
    master.wait_until("its end", [&] { return !has_pid(master.status(), before); });
    CHECK(idle.ask("first") == 2000);
    master.finish();
}

}  // namespace drover::test
