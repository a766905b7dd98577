// TERM, INT and QUIT: what each does to a connection that is busy.
#include "tests/support/proc.h"
#include "tests/support/skipped.h"
#include "tests/support/trouble_program.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::test {
namespace {

// A master with one worker that has two connections: one in the middle of a request, one idle.
struct BusyMaster {
    MasterUnderTest master;
    HttpClient busy;
    HttpClient idle;

    explicit BusyMaster(const std::string& drain_timeout = "30s")
        : master({.workers = 1, .drain_timeout = drain_timeout}),
          busy(master.http_port()),
          idle(master.http_port()) {
        CHECK(idle.get().keeps_alive());
        // In one piece: with the first reply the worker has also read the beginning of the second request.
        busy.stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo");
        CHECK(busy.read_reply().status == 200);
    }

    // The worker ends the idle connection in the event that makes it drain.
    void wait_draining() { CHECK(idle.stream().ended()); }

    void finish_request() {
        busy.stream().send("st: localhost\r\n\r\n");
        const HttpReply reply = busy.read_reply();
        CHECK(reply.status == 200);
        CHECK(reply.body == "first");
        CHECK_FALSE(reply.keeps_alive());
        CHECK(busy.stream().ended());
    }

    void verify_end() {
        master.wait_exit();
        master.verify_clean();
    }
};

// Whoever is refused is told in time; who has a connection is to get an answer.
void ask_until_refused(std::uint16_t port, std::atomic<unsigned>& answered, std::atomic<unsigned>& lost) {
    while (true) {
        std::optional<HttpClient> client;
        try {
            client.emplace(port);
        } catch (const std::exception&) {
            return;
        }
        try {
            client->stream().send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            ++(client->read_reply().status == 200 ? answered : lost);
        } catch (const std::exception&) {
            ++lost;
        }
    }
}

}  // namespace

TEST_CASE("TERM ends an idle master, and idle keep-alive connections in order") {
    MasterUnderTest master;
    HttpClient idle(master.http_port());
    CHECK(idle.get().keeps_alive());
    master.signal(SIGTERM);
    CHECK(idle.stream().ended());
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("QUIT waits for a busy connection and takes no new one") {
    BusyMaster test;
    test.master.signal(SIGQUIT);
    test.wait_draining();
    CHECK(test.master.status().state == "stopping");
    test.master.wait_until("the address closed", [&] {
        try {
            http_get(test.master.http_port());
            return false;
        } catch (const std::system_error& error) {
            return error.code().value() == ECONNREFUSED;
        }
    });
    CHECK(test.busy.stream().quiet());
    CHECK(test.master.running());
    test.finish_request();
    test.verify_end();
}

TEST_CASE("TERM waits for a busy connection too") {
    BusyMaster test;
    test.master.signal(SIGTERM);
    test.wait_draining();
    CHECK(test.master.running());
    test.finish_request();
    test.verify_end();
}

TEST_CASE("TERM does not wait for longer than drain_timeout") {
    BusyMaster test("200ms");
    test.master.signal(SIGTERM);
    test.verify_end();
}

TEST_CASE("QUIT has no deadline: drain_timeout does not end it, INT does") {
    BusyMaster test("100ms");
    test.master.signal(SIGQUIT);
    test.wait_draining();
    CHECK(test.busy.stream().quiet(std::chrono::milliseconds(500)));
    CHECK(test.master.running());
    test.master.signal(SIGINT);
    test.verify_end();
}

TEST_CASE("INT stops at once, busy connections or not") {
    BusyMaster test;
    test.master.signal(SIGINT);
    test.verify_end();
}

TEST_CASE("a second TERM forces the end") {
    BusyMaster test;
    test.master.signal(SIGTERM);
    test.wait_draining();
    test.master.signal(SIGTERM);
    test.verify_end();
}

TEST_CASE("INT after TERM forces the end") {
    BusyMaster test;
    test.master.signal(SIGTERM);
    test.wait_draining();
    test.master.signal(SIGINT);
    test.verify_end();
}

TEST_CASE("TERM after QUIT brings the deadline") {
    BusyMaster test("200ms");
    test.master.signal(SIGQUIT);
    test.wait_draining();
    test.master.signal(SIGTERM);
    test.verify_end();
}

TEST_CASE("a stop under load answers every connection that it accepted") {
    MasterUnderTest master;
    std::vector<HttpClient> clients;
    for (int i = 0; i < 100; ++i) {
        clients.emplace_back(master.http_port());
        clients.back().stream().send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    }
    master.signal(SIGTERM);
    for (HttpClient& client : clients)
        CHECK(client.read_reply().body == "first");
    master.wait_exit();
    master.verify_clean();
}

TEST_CASE("a stop while clients come resets nobody, whether the master may attach a filter or not") {
    for (const uid_t user : {uid_t{0}, uid_t{65534}}) {
        if (user != 0 && lacks_root()) continue;
        CAPTURE(user);
        for (int round = 0; round < 4; ++round) {
            MasterUnderTest master({}, {.user = user});
            std::atomic<unsigned> answered = 0;
            std::atomic<unsigned> lost = 0;
            std::vector<std::thread> clients;
            for (int i = 0; i < 4; ++i)
                clients.emplace_back([&] { ask_until_refused(master.http_port(), answered, lost); });
            const Deadline deadline;
            while (answered < 100 && !deadline.passed())
                std::this_thread::yield();
            master.signal(SIGTERM);
            for (std::thread& client : clients)
                client.join();
            CHECK(lost == 0);
            master.wait_exit();
            master.verify_clean();
        }
    }
}

TEST_CASE("a worker that is stopped (SIGSTOP) does not keep INT from ending") {
    MasterUnderTest master;
    for (const pid_t worker : master.worker_pids())
        kill(worker, SIGSTOP);
    master.signal(SIGINT);
    master.wait_exit(Deadline(std::chrono::seconds(20)));
    master.verify_clean();
}

TEST_CASE("TERM waits for work on a worker's threads") {
    const TemporaryFolder folder;
    const std::string gate = folder.file("gate");
    write_file(gate, "");
    const ReservedPort port;
    MasterUnderTest master(
        {.workers = 1,
         .modules = "\"http\", \"echo\", \"trouble\"",
         .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"trouble\"\n"},
        trouble_program);
    StreamClient client = StreamClient::connect_tcp(port.number());
    client.send("block " + gate + "\n");
    // Others are served meanwhile.
    master.wait_until("the connection", [&] { return master.status().workers.front().connections > 0; });
    CHECK(master.get() == "first");
    master.signal(SIGTERM);
    master.wait_output("stopping: workers drain");
    CHECK(client.quiet(std::chrono::milliseconds(100)));
    std::remove(gate.c_str());
    CHECK(client.read_until("\n") == "unblocked\n");
    CHECK(client.ended());
    CHECK(master.wait_exit() == Exit{0, 0});
    master.verify_clean();
}

TEST_CASE("when the master dies after QUIT drain_timeout holds") {
    BusyMaster test("200ms");
    test.master.signal(SIGQUIT);
    test.wait_draining();
    test.master.signal(SIGKILL);
    test.master.wait_exit();
    CHECK(test.master.wait_orphans());
    std::filesystem::remove_all(test.master.runtime_dir());
    test.master.verify_clean({-1, SIGKILL});
}

TEST_CASE("a worker that is told to leave while it starts is not taken for one that hangs") {
    const TemporaryFolder folder;
    const std::string orders = folder.file("orders");
    MasterUnderTest master(
        {.drain_timeout = "100ms",
         .modules = "\"http\", \"echo\", \"trouble\"",
         .pool = "hang_timeout = \"5s\"\nreport_interval = \"100ms\"\nstart_timeout = \"1s\"\n",
         .rest = "\n[module.trouble]\nin_start = \"obey " + orders + "\"\n"},
        {.program = DROVER_TROUBLE_PROGRAM});
    write_file(orders, "hang");
    kill(master.worker_pids().front(), SIGKILL);
    master.wait_until("a worker that starts", [&] { return !std::filesystem::exists(orders); });
    master.signal(SIGQUIT);
    CHECK(master.wait_exit() == Exit{0, 0});
    CHECK(master.output().find("hangs") == std::string::npos);
    CHECK(master.output().find("not ready within start_timeout") != std::string::npos);
    master.verify_clean();
}

TEST_CASE("a worker that a signal meets in its last moment has not died of it") {
    for (const int signal : {SIGTERM, SIGQUIT, SIGINT}) {
        MasterUnderTest master(
            {.modules = "\"http\", \"echo\", \"trouble\"", .rest = "\n[module.trouble]\nin_end = \"term\"\n"},
            {.program = DROVER_TROUBLE_PROGRAM});
        CHECK(master.cli({"worker", "restart", "main/0"}).code() == 0);
        master.wait_serving(2);
        master.signal(signal);
        CHECK(master.wait_exit() == Exit{0, 0});
        CHECK(master.output().find("while it was leaving") == std::string::npos);
        master.verify_clean();
    }
}

namespace {

pid_t left_daemon(const std::string& path) {
    const std::string text = read_file(path);
    return text.empty() ? 0 : std::stoi(text);
}

}  // namespace

TEST_CASE(
    "what a module has left behind is gone when the service says that it has stopped; strangers live on") {
    const ReservedPort port;
    MasterUnderTest master(
        {.workers = 1,
         .modules = "\"http\", \"echo\", \"trouble\"",
         .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"trouble\"\n"},
        {.program = DROVER_TROUBLE_PROGRAM, .wrapper = {"sh", "-c", "sleep 1000 & exec \"$@\"", "sh"}});
    const std::string file = master.folder().file("daemon");
    StreamClient client = StreamClient::connect_tcp(port.number());
    client.send("daemon " + file + "\n");
    REQUIRE(client.read_until("ok\n") == "ok\n");
    master.wait_until("the daemon", [&] { return left_daemon(file) != 0; });
    const pid_t daemon = left_daemon(file);
    REQUIRE(process_group_of(daemon) != process_group_of(master.worker_pids().front()));
    // Its worker's end changes nothing.
    const pid_t worker = master.worker_pids().front();
    kill(worker, SIGKILL);
    master.wait_replaced({worker});
    CHECK(state_of(daemon) == 'S');
    const std::vector<pid_t> before = children_of(master.pid());
    CHECK(before.size() == 3);  // the worker, the daemon, and what was there before the master
    master.signal(SIGTERM);
    CHECK(master.wait_exit() == Exit{0, 0});
    CHECK(state_of(daemon) == '-');
    const std::string output = master.output();
    const std::size_t ending =
        output.find("ending processes that workers have left behind: " + std::to_string(daemon));
    CHECK_MESSAGE(ending < output.find("stopped: no worker is left"), output);
    CHECK_THROWS_AS(http_get(master.http_port()), std::system_error);
    const std::vector<pid_t> strangers = children_of(getpid());
    REQUIRE(strangers.size() == 1);
    CHECK(command_line_of(strangers.front()) == "sleep 1000");
    kill(strangers.front(), SIGKILL);
    waitpid(strangers.front(), nullptr, 0);
    master.verify_clean();
}

TEST_CASE("what a config reader has left behind is gone when check has ended") {
    const TemporaryFolder folder;
    const std::string file = folder.file("daemon");
    REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);  // what check does not end comes to us
    write_file(
        folder.file("drover.toml"),
        "[pool.main]\nmodules = [\"trouble\"]\n[module.trouble]\nin_check = \"daemon " + file + "\"\n");
    Child check = Child::start({DROVER_TROUBLE_PROGRAM, "check", "-c", folder.file("drover.toml")});
    CHECK(check.wait_exit() == Exit{0, 0});
    const pid_t daemon = left_daemon(file);
    // It may have been ended before it could say who it is.
    if (daemon != 0) CHECK(state_of(daemon) == '-');
    CHECK(children_of(getpid()).empty());
}

}  // namespace drover::test
