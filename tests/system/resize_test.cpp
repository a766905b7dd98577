// TTIN and TTOU: one worker more or fewer, until a reload says otherwise.
#include "master/control/control_message.h"
#include "tests/support/http_load.h"
#include "tests/support/long_clients.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/shortage.h"
#include "tests/support/trouble_program.h"

#include <doctest/doctest.h>

namespace drover::test {

TEST_CASE("TTIN adds a worker and TTOU retires one, and no connection fails") {
    MasterUnderTest master;
    HttpLoad load(master.http_port());
    master.signal(SIGTTIN);
    master.wait_serving(3);
    master.signal(SIGTTIN);
    master.wait_serving(4);
    master.signal(SIGTTOU);
    master.wait_serving(3);
    master.signal(SIGTTOU);
    master.wait_serving(2);
    load.stop();
    CHECK(load.replies() > 0);
    CHECK_MESSAGE(load.failures() == 0, load.failures()
                                            << " failed, the first with: " << load.first_failure());
    CHECK(master.status().generation == 1);
    master.finish();
}

TEST_CASE(
    "a pool that shrinks while the master has no descriptor left gives all connections to those who stay") {
    MasterUnderTest master({.workers = 3});
    IdleClients idle(master.http_port(), 60);
    {
        const NoDescriptors shortage(master.pid());
        master.signal(SIGTTOU);
        master.wait_output("pool main: 2 workers");
    }
    master.wait_serving(2);
    CHECK(idle.ask("first") == 60);
    master.finish();
}

TEST_CASE("TTOU never retires the last worker") {
    MasterUnderTest master({.workers = 1});
    for (int i = 0; i < 5; ++i)
        master.signal(SIGTTOU);
    master.wait_serving(1);
    CHECK(master.get() == "first");
    master.signal(SIGTTIN);
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("after a reload the number of the configuration holds again") {
    MasterUnderTest master;
    master.signal(SIGTTIN);
    master.wait_serving(3);
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    master.wait_serving(2);
    CHECK(master.get() == "second");
    master.finish();
}

TEST_CASE("TTIN and TTOU in a burst leave a service that serves") {
    MasterUnderTest master;
    for (int i = 0; i < 20; ++i) {
        master.signal(SIGTTIN);
        master.signal(SIGTTOU);
    }
    master.wait_until("rest", [&] {
        const StatusView view = master.status();
        return view.state == "running" && !view.workers.empty() && view.serving(view.workers.size());
    });
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("whoever waits for a number of workers is answered when one that stood still goes on") {
    MasterUnderTest master({.pool = "hang_timeout = \"off\"\n"});
    const pid_t worker = master.worker_pids().front();
    kill(worker, SIGSTOP);
    master.wait_output("was stopped by a signal");
    ControlCall call = ControlCall::with_line(
        master.control_path(), control_request_line({.command = "workers", .pool = "main", .count = 2}));
    master.wait_output("pool main: 2 workers");
    kill(worker, SIGCONT);
    const ControlReply reply = call.wait();
    CHECK_MESSAGE(reply.ok, reply.text);
    master.finish();
}

TEST_CASE("a pool that shrinks to slots whose workers still start breaks no connection") {
    const TemporaryFolder folder;
    const std::string once = folder.file("once");
    MasterUnderTest master({.modules = "\"http\", \"echo\", \"trouble\"",
                            .rest = "\n[module.trouble]\nin_start = \"stop " + once + "\"\n"},
                           trouble_program);
    write_file(once, "");
    kill(master.worker_pids().front(), SIGKILL);
    pid_t starting = 0;
    master.wait_until("a worker that has stopped itself", [&] {
        for (const pid_t pid : children_of(master.pid())) {
            if (state_of(pid) == 'T') starting = pid;
        }
        return starting != 0;
    });
    IdleClients idle(master.http_port(), 50);
    CHECK(idle.ask("first") == 50);
    ControlCall call = ControlCall::with_line(
        master.control_path(), control_request_line({.command = "workers", .pool = "main", .count = 1}));
    master.wait_output("pool main: 1 workers");
    CHECK(idle.ask("first") == 50);
    kill(starting, SIGCONT);
    const ControlReply reply = call.wait();
    CHECK_MESSAGE(reply.ok, reply.text);
    master.wait_until("one worker", [&] { return children_of(master.pid()).size() == 1; });
    CHECK(idle.ask("first") == 50);
    master.finish();
}

}  // namespace drover::test
