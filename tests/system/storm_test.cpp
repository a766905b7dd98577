// Everything at once.
#include "tests/support/http_load.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <doctest/doctest.h>

namespace drover::test {

TEST_CASE("a storm of HUP, USR1, CHLD and TERM ends cleanly") {
    for (int round = 0; round < 5; ++round) {
        MasterUnderTest master({.drain_timeout = "1s"});
        for (int i = 0; i < 200; ++i) {
            if (i % 20 == 0)
                master.write_config({.body = "step " + std::to_string(i), .drain_timeout = "1s"});
            master.signal(SIGHUP);
            master.signal(SIGUSR1);
            master.signal(SIGCHLD);
            if (i % 7 == 0) master.signal(SIGTTIN);
            if (i % 7 == 3) master.signal(SIGTTOU);
        }
        master.finish(SIGTERM);
    }
}

TEST_CASE("a storm while workers are killed, and the service is whole afterwards") {
    MasterUnderTest master({.workers = 3, .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    for (unsigned i = 0; i < 40; ++i) {
        master.write_config({.body = "step " + std::to_string(i),
                             .workers = 1 + i % 4,
                             .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
        master.signal(SIGHUP);
        master.signal(SIGUSR1);
        for (const pid_t child : children_of(master.pid())) {
            if ((static_cast<unsigned>(child) + i) % 5 == 0) kill(child, SIGKILL);
        }
    }
    const std::string pool = "respawn = { delay = \"10ms\", burst = 1000 }\n";
    master.write_config({.body = "last", .workers = 3, .pool = pool});
    master.signal(SIGHUP);
    master.wait_until(
        "the last configuration",
        [&] {
            const StatusView view = master.status();
            if (view.state != "running" || !view.serving(3)) return false;
            if (master.get() == "last") return true;
            // The last reload may have lost its reader or a worker to us: it was refused, and may be asked
            // for again.
            if (view.last_reload && view.last_reload->result == "refused") master.signal(SIGHUP);
            return false;
        },
        Deadline(std::chrono::seconds(30)));
    CHECK(children_of(master.pid()).size() == 3);
    master.finish();
}

TEST_CASE("TERM in the middle of a start or a reload ends cleanly") {
    for (int round = 0; round < 8; ++round) {
        MasterUnderTest master({.workers = 4});
        master.write_config({.body = "second", .workers = 8});
        ControlCall caller = master.start_control("reload");
        const std::size_t before = children_of(master.pid()).size();
        const Deadline search;
        while (round % 2 == 1 && caller.unanswered() && children_of(master.pid()).size() <= before &&
               !search.passed()) {
        }
        master.finish(round % 4 < 2 ? SIGTERM : SIGINT);
    }
}

TEST_CASE("a signal before the master is ready is not lost") {
    for (int round = 0; round < 5; ++round) {
        MasterUnderTest master({}, {.wait_ready = false});
        master.wait_until("the master's own signal handling", [&] {
            // SigCgt is a mask of caught signals in hexadecimal; bit 14 is SIGTERM.
            const std::string caught = status_field_of(master.pid(), "SigCgt");
            return !caught.empty() && (std::stoull(caught, nullptr, 16) >> 14 & 1) != 0;
        });
        master.signal(SIGTERM);
        master.wait_exit();
        master.verify_clean();
    }
}

}  // namespace drover::test
