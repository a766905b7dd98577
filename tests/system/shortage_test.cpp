// A master that has no descriptor for a moment, and slots that could not be filled for a while: what was
// missing comes back by itself.
#include "tests/support/shortage.h"

#include "master/control/control_message.h"
#include "tests/support/held_connections.h"
#include "tests/support/long_clients.h"
#include "tests/support/proc.h"
#include "tests/support/trouble_program.h"

#include <algorithm>
#include <optional>

#include <doctest/doctest.h>
#include <unistd.h>

namespace drover::test {
namespace {

struct ShortMaster {
    TemporaryFolder folder;
    std::string orders = folder.file("orders");
    MasterUnderTest master;

    explicit ShortMaster(const std::string& in_start, const std::string& pool = "")
        : master(config(in_start, pool, "first"), trouble_program) {}

    TestConfig config(const std::string& in_start, const std::string& pool, const std::string& body) const {
        return {.body = body,
                .modules = "\"http\", \"echo\", \"trouble\"",
                .master = "prepare_timeout = \"20s\"\n[master.probation]\ntime = \"off\"\n",
                .pool = "start_timeout = \"1s\"\n" + pool,
                .rest = "\n[module.trouble]\nin_start = \"" + in_start + " " + orders + "\"\n"};
    }

    bool reads_configuration() const {
        const std::vector<pid_t> children = children_of(master.pid());
        return std::any_of(children.begin(), children.end(), [](pid_t pid) {
            return command_line_of(pid).find("config reader") != std::string::npos;
        });
    }
};

}  // namespace

TEST_CASE("a hot reload whose successor of a worker that starts cannot be started goes on") {
    ShortMaster shorty("obey");
    MasterUnderTest& master = shorty.master;
    const std::vector<pid_t> before = master.worker_pids();
    write_file(shorty.orders, "hang");
    kill(before[1], SIGKILL);
    master.wait_until("a worker that starts", [&] { return ::access(shorty.orders.c_str(), F_OK) != 0; });
    // Stopped, it holds the reload up before its commit.
    REQUIRE(freeze(before[0]));
    master.write_config(shorty.config("obey", "", "second"));
    ControlCall call = master.start_control("reload");
    master.wait_until("workers that prepare", [&] {
        const auto reloads = [&] { return master.status().state == "reloading"; };
        // Asked again, the master has closed what it held of the reader.
        return reloads() && !shorty.reads_configuration() && reloads();
    });
    {
        // One is enough to remember the generation before.
        const NoDescriptors shortage(master.pid(), 1);
        kill(before[0], SIGCONT);
        master.wait_output("cannot be started");
        const ControlReply reply = call.wait();
        CHECK_MESSAGE(reply.ok, reply.text);
    }
    master.wait_serving(2);
    CHECK(master.get() == "second");
    master.finish();
}

TEST_CASE("a hot reload waits for what a module lacks for a moment") {
    ShortMaster shorty("obey");
    MasterUnderTest& master = shorty.master;
    const std::vector<pid_t> before = master.worker_pids();
    const std::string lacking = shorty.folder.file("lacking");
    write_file(lacking, "");
    TestConfig config = shorty.config("obey", "", "second");
    config.rest += "to_prepare = \"lack while " + lacking + "\"\n";
    master.write_config(config);
    ControlCall call = master.start_control("reload");
    master.wait_output("a hot reload lacks something");
    CHECK(master.get() == "first");
    ::unlink(lacking.c_str());
    const ControlReply reply = call.wait();
    CHECK_MESSAGE(reply.ok, reply.text);
    CHECK(master.get() == "second");
    CHECK(master.worker_pids() == before);
    master.finish();
}

TEST_CASE("slots that a shortage left empty are filled soon after its end, whether others serve or not") {
    for (const std::size_t dead : {std::size_t{1}, std::size_t{2}}) {
        MasterUnderTest master(
            {.pool = "respawn = { delay = \"10ms\", max_delay = \"10m\", burst = 1000 }\n"});
        const std::vector<pid_t> before = master.worker_pids();
        {
            const NoDescriptors shortage(master.pid(), NoDescriptors::none_at_all);
            for (std::size_t i = 0; i < dead; ++i)
                kill(before[i], SIGKILL);
            master.wait_output("cannot be started", dead);
        }
        master.wait_serving(2);
        CHECK(master.get() == "first");
        master.finish();
    }
}

TEST_CASE("a worker whose replacement a shortage prevents serves on") {
    MasterUnderTest master({.pool = "respawn = { delay = \"10ms\", max_delay = \"10m\" }\n"});
    const std::vector<pid_t> before = master.worker_pids();
    {
        const NoDescriptors shortage(master.pid());
        kill(before[0], SIGTERM);
        master.wait_output("cannot start a worker");
        CHECK(master.get() == "first");
    }
    // It was told to leave, and goes once there is a successor.
    master.wait_until("another worker", [&] {
        const std::vector<pid_t> now = master.worker_pids();
        return std::find(now.begin(), now.end(), before[0]) == now.end();
    });
    master.wait_serving(2);
    CHECK(master.status().workers.front().deaths == 0);
    master.finish();
}

TEST_CASE("a caller whose answer needs a descriptor gets it after a shortage") {
    MasterUnderTest master;
    const auto ask = [](StreamClient& client, const std::string& command) {
        client.send("{\"command\":\"" + command + "\"}\n");
    };
    StreamClient first = StreamClient::connect_unix(master.control_path());
    StreamClient second = StreamClient::connect_unix(master.control_path());
    StreamClient third = StreamClient::connect_unix(master.control_path());
    for (StreamClient* const client : {&first, &second, &third}) {
        ask(*client, "status");
        CHECK(client->read_until("\n").starts_with("{\"ok\":true"));
    }
    {
        const NoDescriptors shortage(master.pid(), NoDescriptors::none_at_all);
        ask(first, "counters");
        ask(second, "counter_rows");
        // The first may be read in the same turn of the loop, before the two.
        for (int i = 0; i < 2; ++i) {
            ask(third, "config");
            CHECK(third.read_until("\n").starts_with("{\"ok\":true"));
        }
        CHECK(first.quiet());
        CHECK(second.quiet());
    }
    for (StreamClient* const client : {&first, &second})
        CHECK(client->read_until("\n").starts_with("{\"ok\":true"));
    master.finish();
}

TEST_CASE("a slot that was given up is filled by a reload without a difference, and by its pool's size") {
    ShortMaster shorty("throw while", "respawn = { delay = \"10ms\", burst = 1000 }\n");
    MasterUnderTest& master = shorty.master;
    for (std::size_t round = 1; round <= 2; ++round) {
        const bool by_reload = round == 1;
        write_file(shorty.orders, "");
        kill(master.worker_pids()[1], SIGKILL);
        master.wait_output("is given up until the next reload", round);
        ::unlink(shorty.orders.c_str());
        CHECK(master.get() == "first");
        CHECK(master
                  .cli(by_reload ? std::vector<std::string>{"reload"}
                                 : std::vector<std::string>{"workers", "2"})
                  .code() == 0);
        master.wait_serving(2);
    }
    CHECK(master.status().generation == 1);
    master.finish();
}

TEST_CASE("a pool's size that a worker's configuration prevents is answered") {
    ShortMaster shorty("throw while", "respawn = { delay = \"10ms\", burst = 1000 }\n");
    MasterUnderTest& master = shorty.master;
    write_file(shorty.orders, "");
    kill(master.worker_pids()[1], SIGKILL);
    master.wait_output("is given up until the next reload");
    CHECK(master.cli({"workers", "2"}).code() == 1);
    master.wait_output("is given up until the next reload", 2);  // no attempt of this one is under way
    ::unlink(shorty.orders.c_str());
    CHECK(master.cli({"workers", "2"}).code() == 0);
    master.finish();
}

TEST_CASE("a pool's size and a restart that a shortage prevents are answered, and the pool goes on trying") {
    MasterUnderTest master;
    std::size_t round = 0;
    for (const char* const request : {"{\"command\":\"workers\",\"count\":2}\n",
                                      "{\"command\":\"restart\",\"pool\":\"main\",\"slot\":0}\n"}) {
        StreamClient caller = StreamClient::connect_unix(master.control_path());
        caller.send(control_request("status"));
        CHECK(caller.read_until("\n").starts_with("{\"ok\":true"));
        const pid_t worker = master.worker_pids().front();
        ++round;
        {
            const NoDescriptors shortage(master.pid(), NoDescriptors::none_at_all);
            kill(worker, SIGKILL);
            master.wait_output("cannot be started", round);
            caller.send(request);
            const std::string reply = caller.read_until("\n");
            CHECK_MESSAGE(reply.starts_with("{\"ok\":false,\"error\":\"worker main/0 cannot be started: "),
                          reply);
        }
        master.wait_serving(2);
    }
    master.finish();
}

TEST_CASE("while sixty workers crash in a circle the master answers, and stops when told") {
    const TemporaryFolder folder;
    const std::string orders = folder.file("orders");
    const TestConfig config{.workers = 60,
                            .modules = "\"http\", \"echo\", \"trouble\"",
                            .pool = "respawn = { delay = \"10ms\", burst = 1000 }\n",
                            .rest = "\n[module.trouble]\nin_start = \"crash while " + orders + "\"\n"};
    for (const bool heals : {true, false}) {
        MasterUnderTest master(config, trouble_program);
        write_file(orders, "");
        for (const pid_t worker : master.worker_pids())
            kill(worker, SIGKILL);
        for (int i = 0; i < 5; ++i)
            CHECK(master.status().generation == 1);
        if (heals) {
            ::unlink(orders.c_str());
            master.wait_serving(60, Deadline(std::chrono::seconds(60)));
        }
        master.finish();
        ::unlink(orders.c_str());
    }
}

TEST_CASE(
    "a worker that finds no room for what it is sent serves on, and its successor goes on with its clients, "
    "whoever waits for a place") {
    for (const bool fresh : {false, true}) {
        CAPTURE(fresh);
        MasterUnderTest master({.workers = 1});
        IdleClients idle(master.http_port(), 50);
        CHECK(idle.ask("first") == 50);
        const pid_t before = master.worker_pids().front();
        {
            const NoDescriptors shortage(before);
            const IdleClients waiting(master.http_port(), 20);
            master.write_config({.body = "second", .workers = 1});
            const ControlReply reply =
                ControlCall::with_line(master.control_path(),
                                       control_request_line({.command = "reload", .fresh = fresh}))
                    .wait();
            CHECK_MESSAGE(reply.ok, reply.text);
            master.wait_until("another worker", [&] {
                const std::vector<pid_t> now = master.worker_pids();
                return now.size() == 1 && now.front() != before;
            });
        }
        CHECK(idle.ask("second") == 50);
        master.finish();
    }
}

}  // namespace drover::test
