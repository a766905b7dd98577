// What a parent may have left behind for us, and being PID 1.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"

#include <csignal>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

namespace drover::test {

TEST_CASE("started with SIGCHLD ignored and SIGTERM blocked, it reaps and stops all the same") {
    const auto spoil = [] {
        std::signal(SIGCHLD, SIG_IGN);
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, nullptr);
    };
    MasterUnderTest master({.pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"},
                           {.before_exec = spoil});
    const std::vector<pid_t> before = master.worker_pids();
    kill(before.front(), SIGKILL);
    master.wait_replaced({before.front()});
    // Bit 14 of the mask of blocked signals is SIGTERM.
    for (const pid_t worker : master.worker_pids()) {
        CHECK((std::stoull(status_field_of(worker, "SigBlk"), nullptr, 16) >> 14 & 1) == 0);
    }
    master.finish();
}

TEST_CASE("started with descriptors 0 to 2 closed") {
    MasterUnderTest master({}, {.before_exec = [] {
                               close(0);
                               close(1);
                               close(2);
                           }});
    CHECK(master.get() == "first");
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "second");
    master.finish();
}

TEST_CASE("descriptors of the parent do not reach the workers") {
    MasterUnderTest master({}, {.before_exec = [] {
                               for (int fd = 100; fd < 110; ++fd)
                                   dup2(0, fd);
                           }});
    for (const pid_t worker : master.worker_pids()) {
        for (int fd = 100; fd < 110; ++fd) {
            const std::string path = "/proc/" + std::to_string(worker) + "/fd/" + std::to_string(fd);
            CHECK(access(path.c_str(), F_OK) != 0);
        }
    }
    master.finish();
}

TEST_CASE("PID 1 of a container: stops on TERM, reaps strangers") {
    if (lacks_root()) return;
    const bool has_namespaces = run_command({"unshare", "-pf", "--mount-proc", "true"}).code() == 0;
    if (lacks(has_namespaces, "namespaces")) return;
    MasterUnderTest master({}, {.wrapper = {"unshare", "-pf", "--mount-proc"}});
    REQUIRE(status_field_of(master.pid(), "NSpid").ends_with("\t1"));
    CHECK(master.get() == "first");
    CHECK(master.status().pid == 1);
    // A stranger: a process whose parent has ended becomes a child of PID 1.
    const CommandResult orphan =
        run_command({"nsenter", "-t", std::to_string(master.pid()), "-p", "sh", "-c", "(true &)"});
    CHECK(orphan.code() == 0);
    master.wait_until("no zombie", [&] {
        for (const pid_t child : children_of(master.pid())) {
            if (state_of(child) == 'Z') return false;
        }
        return children_of(master.pid()).size() == 2;
    });
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "second");
    master.finish(SIGTERM);
}

TEST_CASE("at the descriptor limit workers pause accepting and recover") {
    // UBSan opens a pipe to look at an object, and takes a full descriptor table for a bad object.
    if (sanitizers) return;
    MasterUnderTest master({.workers = 1}, {.before_exec = [] {
                               const rlimit limit{64, 64};
                               setrlimit(RLIMIT_NOFILE, &limit);
                           }});
    std::vector<StreamClient> clients;
    for (int i = 0; i < 100; ++i)
        clients.push_back(StreamClient::connect_tcp(master.echo_port()));
    CHECK(master.status().serving(1));
    clients.erase(clients.begin(), clients.begin() + 80);
    for (StreamClient& client : clients) {
        client.send("x\n");
        CHECK(client.read_until("\n") == "x\n");
    }
    clients.clear();
    CHECK(master.get() == "first");
    master.finish();
}

}  // namespace drover::test
