// Who the processes are: users, groups, process groups and titles.
#include "tests/support/master_under_test.h"
#include "tests/support/memory_search.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"

#include <cstdlib>
#include <set>

#include <doctest/doctest.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover::test {
namespace {

struct AskedMaster {
    ReservedPort port;
    MasterUnderTest master;

    AskedMaster(const std::string& settings, const MasterUnderTest::Start& start)
        : master({.workers = 1,
                  .modules = "\"http\", \"echo\", \"trouble\"",
                  .master = settings,
                  .rest =
                      "\n[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"trouble\"\n"},
                 start) {}
    std::string ask(const std::string& question) const {
        StreamClient client = StreamClient::connect_tcp(port.number());
        client.send(question + "\n");
        std::string answer = client.read_until("ok\n");
        return answer.substr(0, answer.size() - 3);
    }
};

std::string environment_of_master(const std::string& name, const SearchedText& value) {
    return name + "=" + value.text();
}

}  // namespace

TEST_CASE("started as root with a user, workers lose every privilege and the master keeps its own") {
    if (lacks_root()) return;
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
            for (const char* set : {"CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"})
                CHECK_MESSAGE(std::stoull(status_field_of(worker, set), nullptr, 16) == 0, set);
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

TEST_CASE("workers of another user know root's environment and keys no more, but for what is named") {
    if (lacks_root()) return;
    const SearchedText secret("a secret of root's shell");
    const auto have_key = [] {
        ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
        ::syscall(SYS_add_key, "user", "drover-test", "x", 1, KEY_SPEC_SESSION_KEYRING);
    };
    AskedMaster asked(
        "user = \"nobody\"\nenvironment = [\"DROVER_TAKEN\", \"DROVER_SET=set = here\", \"DROVER_ABSENT\"]\n",
        {.program = DROVER_TROUBLE_PROGRAM,
         .environment = {environment_of_master("DROVER_HIDDEN", secret), "DROVER_TAKEN=taken", "LC_TIME=C",
                         "TZ=UTC"},
         .before_exec = have_key});
    CHECK(asked.ask("env DROVER_HIDDEN") == "unset");
    CHECK(asked.ask("env NOTIFY_SOCKET") == "unset");
    CHECK(asked.ask("env DROVER_ABSENT") == "unset");
    CHECK(asked.ask("env DROVER_TAKEN") == "taken");
    CHECK(asked.ask("env DROVER_SET") == "set = here");
    CHECK(asked.ask("env LC_TIME") == "C");
    CHECK(asked.ask("env TZ") == "UTC");
    CHECK(asked.ask("env PATH") == std::getenv("PATH"));
    CHECK(asked.ask("env HOME") == ::getpwnam("nobody")->pw_dir);
    CHECK(asked.ask("key drover-test") == "none");
    if (!sanitizers) {  // they have a copy of their own
        CHECK(secret.is_in(asked.master.pid()));
        CHECK_FALSE(secret.is_in(asked.master.worker_pids().front()));
    }
    // Nor has the config reader, when module code runs there.
    std::string text = read_file(asked.master.config_path());
    asked.master.write_config_text(text + "\n[module.trouble]\nin_check = \"hang\"\n");
    const ControlCall reload = asked.master.start_control("reload");
    pid_t reader = 0;
    const Deadline deadline;
    while (status_field_of(reader, "NoNewPrivs") != "1") {
        REQUIRE_FALSE(deadline.passed());
        for (const pid_t child : children_of(asked.master.pid()))
            if (command_line_of(child) == "drover_trouble: config reader") reader = child;
    }
    if (!sanitizers) CHECK_FALSE(secret.is_in(reader));
    CHECK(status_field_of(reader, "CapBnd") == status_field_of(asked.master.worker_pids().front(), "CapBnd"));
    ::kill(reader, SIGKILL);
    asked.master.finish();
}

TEST_CASE(
    "included files and variables are read with root's rights, before the config reader gives them up") {
    if (lacks_root()) return;
    const TestConfig config{.master = "user = \"nobody\"\n"};
    MasterUnderTest master(
        config, {.environment = {"DROVER_HIDDEN=of root"}, .prepare = [&](MasterUnderTest& starting) {
                     const std::string file = starting.folder().file("site.toml");
                     write_file(file,
                                "[[module.http.route]]\npath = \"/site\"\n"
                                "return = { body = \"${DROVER_HIDDEN}\" }\n");
                     ::chmod(file.c_str(), 0600);
                     starting.write_config_text("include = [\"site.toml\"]\n" + starting.config_text(config));
                 }});
    CHECK(http_get(master.http_port(), "/site").body == "of root");
    REQUIRE(master.control("reload").ok);
    master.finish();
}

TEST_CASE("workers of the master's own user keep its environment, and give up what exec could bring") {
    AskedMaster asked("environment = [\"DROVER_SET=set here\"]\n",
                      {.program = DROVER_TROUBLE_PROGRAM, .environment = {"DROVER_HIDDEN=not from them"}});
    CHECK(asked.ask("env DROVER_HIDDEN") == "not from them");
    CHECK(asked.ask("env DROVER_SET") == "set here");
    const pid_t worker = asked.master.worker_pids().front();
    CHECK(status_field_of(worker, "NoNewPrivs") == "1");
    CHECK(std::stoull(status_field_of(worker, "CapInh"), nullptr, 16) == 0);
    CHECK(std::stoull(status_field_of(worker, "CapAmb"), nullptr, 16) == 0);
    asked.master.finish();
}

TEST_CASE("an unknown user is a finding, and so is an unknown group") {
    for (const std::string name : {"no_such_one_here", "nobody:no_such_one_here", "no_such_one_here:65534"}) {
        MasterUnderTest master({}, {.wait_ready = false, .prepare = [&](MasterUnderTest& self) {
                                        self.write_config({.master = "user = \"" + name + "\"\n"});
                                    }});
        master.wait_exit();
        CHECK(master.output().find("no_such_one_here") != std::string::npos);
        master.verify_clean({78, 0});
    }
}

TEST_CASE("a user is a name or a number, with or without a group; supplementary groups are the user's") {
    if (lacks_root()) return;
    struct Case {
        const char* user;
        const char* uid;
        const char* gid;
        std::string groups;  // between blanks
    };
    const std::vector<Case> cases = {
        {"nobody", "65534", "65534", "65534"}, {"65534", "65534", "65534", "65534"},
        {"nobody:daemon", "65534", "1", "1"},  {"nobody:2", "65534", "2", "2"},
        {"65534:daemon", "65534", "1", "1"},   {"54321:54322", "54321", "54322", ""},
        {"54321", "54321", "54321", ""},
    };
    const auto four_times = [](const std::string& id) { return id + "\t" + id + "\t" + id + "\t" + id; };
    MasterUnderTest master({.workers = 1});
    for (const Case& each : cases) {
        CAPTURE(each.user);
        master.write_config(
            {.body = each.user, .workers = 1, .master = "user = \"" + std::string(each.user) + "\"\n"});
        REQUIRE(master.control("reload").ok);
        CHECK(master.get() == each.user);
        for (const WorkerView& view : master.status().workers) {
            if (view.generation != master.status().generation) continue;
            CHECK(status_field_of(view.pid, "Uid") == four_times(each.uid));
            CHECK(status_field_of(view.pid, "Gid") == four_times(each.gid));
            std::string groups = status_field_of(view.pid, "Groups");
            groups.erase(groups.find_last_not_of(" \t") + 1);
            CHECK(groups == each.groups);
        }
    }
    master.finish();
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
