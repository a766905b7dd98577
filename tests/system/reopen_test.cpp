// `drover reopen`: its answer means that no worker writes to the old files any more, or who still does.
#include "core/base/unique_fd.h"
#include "tests/support/contains.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover::test {
namespace {

const std::string access_log = "[module.http]\naccess_log = \"access.log\"\n";

// The command that the shipped logrotate file runs after the logs were moved, for this master.
std::string postrotate(const MasterUnderTest& master) {
    const std::string shipped = read_file(DROVER_SOURCE_DIR "/conf/drover.logrotate");
    const std::size_t begin = shipped.find("postrotate\n") + 11;
    std::string script = shipped.substr(begin, shipped.find("endscript") - begin);
    const auto replace = [&script](const std::string& from, const std::string& to) {
        REQUIRE(contains(script, from));
        script.replace(script.find(from), from.size(), to);
    };
    replace("/run/drover/control.sock", master.control_path());
    replace("/usr/bin/drover", DROVER_PROGRAM);
    replace("/etc/drover/drover.toml", master.config_path());
    return script;
}

// The worker's channel to the master ends.
void cut_channel(pid_t worker) {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, worker, 0)));
    for (int number = 3; number < 100; ++number) {
        const UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
        int type = 0;
        socklen_t size = sizeof type;
        const bool socket = copy && ::getsockopt(copy.get(), SOL_SOCKET, SO_TYPE, &type, &size) == 0;
        if (socket && type == SOCK_SEQPACKET) return static_cast<void>(::shutdown(copy.get(), SHUT_RDWR));
    }
    FAIL("the worker has no channel");
}

}  // namespace

TEST_CASE("when reopen is answered no process has an old log open") {
    MasterUnderTest master({.workers = 4, .log_file = "drover.log", .rest = access_log});
    const auto& folder = master.folder();
    for (int turn = 0; turn < 20; ++turn) {
        for (const char* const log : {"drover.log", "access.log"})
            std::filesystem::rename(folder.file(log), folder.file(std::string("old.") + log));
        const CommandResult reopened = master.cli({"reopen"});
        CHECK(reopened.output == "log files reopened\n");
        for (const pid_t worker : master.worker_pids()) {
            CHECK(fds_of(worker, folder.file("old.")).empty());
            CHECK(fds_of(worker, folder.file("drover.log")).size() == 1);
            CHECK(fds_of(worker, folder.file("access.log")).size() == 1);
        }
    }
    master.finish();
}

TEST_CASE("a worker that stands still is named, and the others have the new files") {
    MasterUnderTest master({.workers = 2, .rest = access_log});
    const std::vector<pid_t> workers = master.worker_pids();
    REQUIRE(freeze(workers[0]));
    std::filesystem::rename(master.folder().file("access.log"), master.folder().file("old.log"));
    const CommandResult refused = master.cli({"reopen"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(
        contains(refused.errors, "log files are open again, but worker main/0 (pid " +
                                     std::to_string(workers[0]) + ") still wrote to the old ones after 5 s"),
        refused.errors);
    CHECK(fds_of(workers[1], master.folder().file("old.log")).empty());
    ::kill(workers[0], SIGCONT);
    CHECK(master.cli({"reopen"}).code() == 0);
    CHECK(fds_of(workers[0], master.folder().file("old.log")).empty());
    master.finish();
}

TEST_CASE("a worker that drains and cannot be reached is named: it writes to the old files") {
    MasterUnderTest master({.workers = 1, .rest = access_log});
    std::optional<StreamClient> client = StreamClient::connect_tcp(master.echo_port());
    client->send("x");
    CHECK(client->read_exactly(1) == "x");
    const pid_t worker = master.worker_pids()[0];
    cut_channel(worker);
    master.wait_output("leaves without being told to");
    std::filesystem::rename(master.folder().file("access.log"), master.folder().file("old.log"));
    const CommandResult refused = master.cli({"reopen"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(contains(refused.errors, "worker main/0 (pid " + std::to_string(worker) + ") still wrote"),
                  refused.errors);
    client.reset();
    master.wait_replaced({worker});
    CHECK(master.cli({"reopen"}).code() == 0);
    master.finish();
}

TEST_CASE("a caller that asks for a reopen is not held up by callers that ask later") {
    MasterUnderTest master({.workers = 1, .rest = access_log});
    const pid_t worker = master.worker_pids()[0];
    REQUIRE(freeze(worker));
    ControlCall first = master.start_control("reopen");
    std::vector<ControlCall> later;
    const Deadline deadline;
    while (first.unanswered(std::chrono::milliseconds(500)) && !deadline.passed())
        later.push_back(master.start_control("reopen"));
    REQUIRE_FALSE(first.unanswered());
    CHECK_FALSE(first.wait().ok);
    CHECK(later.back().unanswered());
    ::kill(worker, SIGCONT);
    for (ControlCall& call : later)
        static_cast<void>(call.wait());
    master.finish();
}

TEST_CASE("the shipped logrotate file shows a reopen that is refused, and minds no service that is stopped") {
    MasterUnderTest master({.workers = 1, .rest = access_log});
    const std::string script = postrotate(master);
    const auto rotate = [&script] { return run_command({"/bin/sh", "-ec", script}); };
    const std::string log = master.folder().file("access.log");
    std::filesystem::rename(log, log + ".1");
    const CommandResult rotated = rotate();
    CHECK(rotated.code() == 0);
    CHECK(rotated.output.empty());
    CHECK(rotated.errors.empty());
    CHECK(std::filesystem::exists(log));

    std::filesystem::remove(log);
    REQUIRE(::mkdir(log.c_str(), 0755) == 0);
    const CommandResult refused = rotate();
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(contains(refused.errors, "it is a directory"), refused.errors);
    master.finish();
    CHECK(rotate().code() == 0);
}

}  // namespace drover::test
