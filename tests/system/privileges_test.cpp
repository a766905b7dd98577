// Who the processes are: users, groups, process groups and titles.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <set>

#include <doctest/doctest.h>
#include <grp.h>
#include <unistd.h>

namespace drover::test {

TEST_CASE("started as root with a user, workers lose every privilege and the master keeps its own") {
    if (geteuid() != 0) return;  // needs root
    const auto take_groups = [] {
        const gid_t groups[] = {0, 4, 27};
        setgroups(3, groups);
    };
    MasterUnderTest master(
        {.master = "user = \"nobody\"\n", .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"},
        {.before_exec = take_groups});
    const auto check_workers = [&] {
        for (const pid_t worker : master.worker_pids()) {
            CHECK(status_field_of(worker, "Uid") == "65534\t65534\t65534\t65534");
            CHECK(status_field_of(worker, "Gid") == "65534\t65534\t65534\t65534");
            const std::string groups = status_field_of(worker, "Groups");
            CHECK_MESSAGE((groups.empty() || groups == "65534"), groups);
            CHECK(status_field_of(worker, "NoNewPrivs") == "1");
            CHECK(std::stoull(status_field_of(worker, "CapEff"), nullptr, 16) == 0);
        }
    };
    check_workers();
    CHECK(status_field_of(master.pid(), "Uid") == "0\t0\t0\t0");
    CHECK(master.get() == "first");

    master.write_config({.body = "second",
                         .master = "user = \"nobody\"\n",
                         .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "second");
    check_workers();

    const std::vector<pid_t> before = master.worker_pids();
    kill(before.front(), SIGKILL);
    master.wait_replaced({before.front()});
    check_workers();
    master.finish();
}

TEST_CASE("an unknown user is a finding") {
    MasterUnderTest master({}, {.wait_ready = false, .prepare = [](MasterUnderTest& self) {
                                    self.write_config({.master = "user = \"no_such_user_here\"\n"});
                                }});
    master.wait_exit();
    CHECK(master.output().find("no_such_user_here") != std::string::npos);
    master.verify_clean({78, 0});
}

TEST_CASE("each worker has a session and a process group of its own") {
    MasterUnderTest master({.workers = 3});
    std::set<pid_t> groups{process_group_of(master.pid())};
    for (const pid_t worker : master.worker_pids()) {
        CHECK(process_group_of(worker) == worker);
        CHECK(getsid(worker) == worker);
        groups.insert(process_group_of(worker));
    }
    CHECK(groups.size() == 4);
    master.finish();
}

TEST_CASE("process titles say who is who") {
    MasterUnderTest master;
    CHECK(command_line_of(master.pid()) == "drover: master");
    std::set<std::string> titles;
    for (const pid_t worker : master.worker_pids())
        titles.insert(command_line_of(worker));
    CHECK(titles == std::set<std::string>{"drover: worker main/0", "drover: worker main/1"});
    master.finish();
}

}  // namespace drover::test
