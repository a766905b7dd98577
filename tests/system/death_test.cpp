// Processes that die: workers, one or all or in mid-reload, and the master itself.
#include "tests/support/http_load.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/trouble_program.h"
#include "tests/support/unfinished_request.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

const WorkerView& worker_in_slot(const StatusView& view, unsigned slot) {
    const auto found = std::find_if(view.workers.begin(), view.workers.end(),
                                    [&](const WorkerView& worker) { return worker.slot == slot; });
    REQUIRE(found != view.workers.end());
    return *found;
}

}  // namespace

TEST_CASE("a killed worker is replaced in its slot; the others do not notice") {
    MasterUnderTest master({.workers = 3, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    const StatusView before = master.status();
    const pid_t victim = worker_in_slot(before, 1).pid;
    kill(victim, SIGKILL);
    master.wait_replaced({victim});
    const StatusView after = master.status();
    CHECK(after.generation == 1);
    CHECK(worker_in_slot(after, 0).pid == worker_in_slot(before, 0).pid);
    CHECK(worker_in_slot(after, 2).pid == worker_in_slot(before, 2).pid);
    CHECK(worker_in_slot(after, 1).restarts == 1);
    CHECK(worker_in_slot(after, 0).restarts == 0);
    CHECK(master.output().find("SIGKILL") != std::string::npos);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("when all workers are killed, who connects meanwhile waits and is answered") {
    MasterUnderTest master({.pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    const std::vector<pid_t> victims = master.worker_pids();
    for (const pid_t victim : victims)
        kill(victim, SIGKILL);
    std::vector<HttpClient> clients;
    for (int i = 0; i < 20; ++i) {
        clients.emplace_back(master.http_port());
        clients.back().stream().send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    }
    master.wait_replaced(victims);
    std::size_t answered = 0;
    for (HttpClient& client : clients) {
        try {
            if (client.read_reply().body == "first") ++answered;
        } catch (const std::exception&) {
            // One that a dying worker had already accepted.
        }
    }
    CHECK(answered >= 18);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("totals never go backwards while workers are killed under load") {
    MasterUnderTest master(
        {.workers = 3, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\nreport_interval = \"10ms\"\n"});
    HttpLoad load(master.http_port());
    std::int64_t last = 0;
    for (int round = 0; round < 15; ++round) {
        const std::vector<pid_t> pids = master.worker_pids();
        if (!pids.empty()) kill(pids[static_cast<std::size_t>(round) % pids.size()], SIGKILL);
        for (int look = 0; look < 20; ++look) {
            const std::int64_t now = master.status().counters.at("drover_connections_accepted_total");
            REQUIRE(now >= last);
            last = now;
        }
    }
    load.stop();
    master.wait_serving(3);
    const StatusView view = master.status();
    CHECK(view.counters.at("drover_connections_accepted_total") >= static_cast<std::int64_t>(load.replies()));
    CHECK(view.counters.at("drover_connections_accepted_total") <=
          static_cast<std::int64_t>(load.replies() + load.failures()));
    master.finish();
}

TEST_CASE("a worker or reader killed in mid-reload: the reload is refused or done, and the service whole") {
    MasterUnderTest master({.workers = 4, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    for (int round = 0; round < 12; ++round) {
        const std::vector<pid_t> before = children_of(master.pid());
        const std::uint64_t generation = master.status().generation;
        const std::string old_body = master.get();
        const std::string body = "round " + std::to_string(round);
        master.write_config(
            {.body = body, .workers = 4, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
        ControlCall caller = master.start_control("reload");
        // The reader is the first new process, workers follow; each round waits for one process more before
        // it kills.
        const auto started = static_cast<std::size_t>(round % 5);
        pid_t victim = 0;
        const Deadline search;
        while (victim == 0 && !search.passed() && caller.unanswered()) {
            std::vector<pid_t> started_now;
            for (const pid_t pid : children_of(master.pid())) {
                if (std::find(before.begin(), before.end(), pid) == before.end()) started_now.push_back(pid);
            }
            if (started_now.size() > std::min<std::size_t>(started, 3)) victim = started_now.back();
        }
        if (victim > 0) kill(victim, SIGKILL);
        const ControlReply reply = caller.wait();
        master.wait_serving(4);
        const std::uint64_t now = master.status().generation;
        CHECK_MESSAGE((now > generation) == reply.ok,
                      "generation " << generation << " to " << now << ": " << reply.text);
        CHECK(master.get() == (reply.ok ? body : old_body));
    }
    CHECK(children_of(master.pid()).size() == 4);
    master.finish();
}

TEST_CASE("an old worker killed in mid-reload does not stop the reload") {
    MasterUnderTest master({.workers = 4, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    for (int round = 0; round < 5; ++round) {
        const std::vector<pid_t> old_workers = master.worker_pids();
        const std::string body = "round " + std::to_string(round);
        master.write_config(
            {.body = body, .workers = 4, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
        ControlCall caller = master.start_control("reload");
        kill(old_workers[static_cast<std::size_t>(round) % old_workers.size()], SIGKILL);
        const ControlReply reply = caller.wait();
        CHECK_MESSAGE(reply.ok, reply.text);
        master.wait_serving(4);
        CHECK(master.get() == body);
    }
    master.finish();
}

TEST_CASE("a worker that dies while it drains has died, and is counted") {
    MasterUnderTest master({.workers = 1, .drain_timeout = "20s"});
    const pid_t leaving = master.worker_pids().front();
    const UnfinishedRequest request(master.http_port());
    REQUIRE(master.cli({"worker", "restart", "main/0"}).code() == 0);
    const std::string deaths = "drover_worker_deaths_total{cause=\"signal\"}";
    CHECK(master.status().counters.at(deaths) == 0);
    kill(leaving, SIGKILL);
    master.wait_until("its death", [&] { return master.status().counters.at(deaths) == 1; });
    master.wait_output("killed by signal 9 (SIGKILL) while it was leaving");
    CHECK(master.status().serving(1));
    master.finish();
}

TEST_CASE("a worker that an exception ends while it drains has not left in order") {
    const ReservedPort port;
    MasterUnderTest master(
        {.workers = 1,
         .modules = "\"http\", \"echo\", \"trouble\"",
         .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"trouble\"\n"},
        trouble_program);
    const std::string gate = master.folder().file("gate");
    write_file(gate, "");
    StreamClient client = StreamClient::connect_tcp(port.number());
    client.send("throw after " + gate + "\n");
    REQUIRE(client.read_until("ok\n") == "ok\n");
    REQUIRE(master.cli({"worker", "restart", "main/0"}).code() == 0);
    std::remove(gate.c_str());
    master.wait_output("trouble was asked for");
    master.wait_output("exited with code 1: trouble was asked for while it was leaving");
    CHECK(master.status().serving(1));
    master.finish();
}

TEST_CASE("a worker that is stopped while it starts is given up after start_timeout") {
    // The old generation must not feel it: the new worker is frozen as soon as it appears.
    MasterUnderTest master({.pool = "start_timeout = \"300ms\"\n"});
    const std::vector<pid_t> before = master.worker_pids();
    master.write_config({.body = "second", .pool = "start_timeout = \"300ms\"\n"});
    ControlCall caller = master.start_control("reload");
    std::vector<pid_t> frozen;
    while (caller.unanswered()) {
        for (const pid_t pid : children_of(master.pid())) {
            if (std::find(before.begin(), before.end(), pid) != before.end()) continue;
            if (!command_line_of(pid).starts_with("drover: worker")) continue;  // the reader may go on
            if (kill(pid, SIGSTOP) == 0) frozen.push_back(pid);
        }
    }
    const ControlReply reply = caller.wait();
    for (const pid_t pid : frozen)
        kill(pid, SIGCONT);
    master.wait_serving(2);
    CHECK(master.get() == (reply.ok ? "second" : "first"));
    if (!reply.ok) CHECK(master.worker_pids() == before);
    master.finish();
}

TEST_CASE("when the master is killed its workers finish what they do and end") {
    MasterUnderTest master;
    HttpClient busy(master.http_port());
    busy.stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo");
    CHECK(busy.read_reply().status == 200);
    const std::vector<pid_t> workers = master.worker_pids();
    master.signal(SIGKILL);
    master.wait_exit();
    // The idle worker ends; the busy one waits for its client.
    CHECK(busy.stream().quiet());
    busy.stream().send("st: localhost\r\n\r\n");
    CHECK(busy.read_reply().body == "first");
    CHECK(busy.stream().ended());
    CHECK(master.wait_orphans());
    CHECK_THROWS(http_get(master.http_port()));
    for (const pid_t worker : workers)
        CHECK(state_of(worker) == '-');
    // Nobody was left to remove them.
    std::filesystem::remove_all(master.runtime_dir());
    master.verify_clean({-1, SIGKILL});
}

TEST_CASE("a master that is stopped and continued goes on") {
    MasterUnderTest master({.pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    const std::vector<pid_t> victims = master.worker_pids();
    master.signal(SIGSTOP);
    kill(victims.front(), SIGKILL);
    master.signal(SIGCONT);
    master.wait_replaced({victims.front()});
    CHECK(master.get() == "first");
    master.finish();
}

}  // namespace drover::test
