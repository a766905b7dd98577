// Processes that SIGKILL does not end (state D: a dead file server): they are given up, and hold up nobody.
#include "tests/support/proc.h"
#include "tests/support/stuck_filesystem.h"
#include "tests/support/trouble_program.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <sys/wait.h>

namespace drover::test {
namespace {

struct StuckMaster {
    StuckFilesystem filesystem;
    ReservedPort port;
    std::string hang_timeout;
    MasterUnderTest master;

    explicit StuckMaster(const std::string& hang_after = "1s")
        : hang_timeout(hang_after), master(config(""), trouble_program) {}

    TestConfig config(const std::string& trouble, const std::string& body = "first") const {
        return {.body = body,
                .drain_timeout = "1s",
                .modules = "\"http\", \"echo\", \"trouble\"",
                .pool = "start_timeout = \"1s\"\nreport_interval = \"100ms\"\nhang_timeout = \"" +
                        hang_timeout + "\"\n",
                .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() +
                        "\"\nmodule = \"trouble\"\n\n[module.trouble]\n" + trouble};
    }
    // In a request; the caller lets go of the client later.
    StreamClient catch_worker(pid_t& victim) {
        StreamClient client = StreamClient::connect_tcp(port.number());
        client.send("look for " + filesystem.file() + "\n");
        victim = filesystem.take_victim();
        return client;
    }
    // The one that was given up ends when the file system does, and is this process's child if the master
    // has ended before.
    void release(pid_t victim) {
        const UniqueFd held = open_pidfd(victim);
        filesystem.release();
        if (held) CHECK(wait_gone(held));
    }
};

bool has(const std::vector<pid_t>& pids, pid_t pid) {
    return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

}  // namespace

TEST_CASE("a worker that SIGKILL does not end is given up, and its slot filled") {
    StuckMaster stuck;
    if (!stuck.filesystem.there()) return;
    MasterUnderTest& master = stuck.master;
    pid_t victim = 0;
    const StreamClient client = stuck.catch_worker(victim);
    master.wait_until(
        "its slot filled", [&] { return !has(master.worker_pids(), victim); },
        Deadline(std::chrono::seconds(30)));
    master.wait_serving(2);
    CHECK(state_of(victim) == 'D');
    CHECK(master.output().find("given up") != std::string::npos);
    CHECK(master.get() == "first");
    CHECK(master.cli({"workers", "3"}).code() == 0);
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    stuck.release(victim);
    master.wait_until("its end", [&] { return state_of(victim) == '-'; });
    master.finish();
}

TEST_CASE("commands are answered although a worker that SIGKILL does not end is in their way") {
    StuckMaster stuck("off");
    if (!stuck.filesystem.there()) return;
    MasterUnderTest& master = stuck.master;
    pid_t victim = 0;
    const StreamClient client = stuck.catch_worker(victim);
    std::string name;
    for (const WorkerView& worker : master.status().workers) {
        if (worker.pid == victim) name = "main/" + std::to_string(worker.slot);
    }
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"worker", "restart", name}, {"reload", "--fresh"}, {"workers", "1"}}) {
        const CommandResult result = master.cli(command);
        CHECK_MESSAGE(result.code() == 0, command[0] << ": " << result.errors);
    }
    CHECK(state_of(victim) == 'D');
    stuck.release(victim);
    master.finish();
}

TEST_CASE("a config reader that SIGKILL does not end is given up: the reload is refused") {
    StuckMaster stuck;
    if (!stuck.filesystem.there()) return;
    MasterUnderTest& master = stuck.master;
    master.write_config(stuck.config("in_check = \"look for " + stuck.filesystem.file() + "\"\n", "second"));
    ControlCall call = master.start_control("reload");
    const pid_t victim = stuck.filesystem.take_victim();
    const ControlReply reply = call.wait();
    CHECK_FALSE(reply.ok);
    CHECK_MESSAGE(reply.text.find("given up") != std::string::npos, reply.text);
    CHECK(state_of(victim) == 'D');
    CHECK(master.cli({"workers", "3"}).code() == 0);
    master.write_config(stuck.config("", "third"));
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "third");
    stuck.release(victim);
    master.finish();
}

TEST_CASE("a stop does not wait for what SIGKILL does not end") {
    for (const int signal : {SIGTERM, SIGINT}) {
        StuckMaster stuck;
        if (!stuck.filesystem.there()) return;
        MasterUnderTest& master = stuck.master;
        pid_t victim = 0;
        const StreamClient client = stuck.catch_worker(victim);
        master.signal(signal);
        CHECK(master.wait_exit(Deadline(std::chrono::seconds(30))) == Exit{0, 0});
        CHECK(state_of(victim) == 'D');
        stuck.release(victim);
        ::waitpid(victim, nullptr, 0);
        master.verify_clean();
    }
}

TEST_CASE("a stop does not wait for a config reader that SIGKILL does not end") {
    StuckMaster stuck;
    if (!stuck.filesystem.there()) return;
    MasterUnderTest& master = stuck.master;
    master.write_config(stuck.config("in_check = \"look for " + stuck.filesystem.file() + "\"\n", "second"));
    master.signal(SIGHUP);
    const pid_t victim = stuck.filesystem.take_victim();
    master.signal(SIGTERM);
    CHECK(master.wait_exit(Deadline(std::chrono::seconds(30))) == Exit{0, 0});
    stuck.release(victim);
    ::waitpid(victim, nullptr, 0);
    master.verify_clean();
}

}  // namespace drover::test
