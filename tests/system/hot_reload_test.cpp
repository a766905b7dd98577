// A reload in place: running workers go over to the next generation.
#include "tests/support/contains.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/ports.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <csignal>

#include <doctest/doctest.h>

namespace drover::test {
TEST_CASE("workers and their connections stay, and serve the new generation") {
    MasterUnderTest master;
    const std::vector<pid_t> before = master.worker_pids();
    HttpClient kept(master.http_port());
    CHECK(kept.get().body == "first");
    for (int round = 0; round < 20; ++round) {
        const std::string body = "round " + std::to_string(round);
        master.write_config({.body = body});
        REQUIRE(master.control("reload").ok);
        CHECK(kept.get().body == body);
        CHECK(master.get() == body);
    }
    CHECK(master.worker_pids() == before);
    for (const WorkerView& worker : master.status().workers)
        CHECK(worker.generation == 21);
    master.finish();
}

TEST_CASE("a request that is under way ends with the configuration that it began with") {
    MasterUnderTest master({.workers = 1});
    HttpClient busy(master.http_port());
    const std::string host = " HTTP/1.1\r\nHost: a\r\n";
    busy.stream().send("GET /" + host + "\r\nGET /" + host + "Content-Length: 4\r\n\r\nab");
    CHECK(busy.read_reply().body == "first");
    master.write_config({.body = "second", .workers = 1});
    REQUIRE(master.control("reload").ok);
    busy.stream().send("cd");
    CHECK(busy.read_reply().body == "first");
    CHECK(busy.get().body == "second");
    master.finish();
}

TEST_CASE("a stopped worker holds nobody up, and is replaced") {
    MasterUnderTest master({.workers = 3});
    const pid_t stopped = master.worker_pids().front();
    kill(stopped, SIGSTOP);
    master.write_config({.body = "second", .workers = 3});
    REQUIRE(master.control("reload").ok);
    for (int i = 0; i < 20; ++i)
        CHECK(master.get() == "second");
    master.wait_serving(3);
    CHECK_FALSE(contains(master.worker_pids(), stopped));
    master.finish();
}

TEST_CASE("--fresh brings new workers for a change that running ones could take over, and for none") {
    MasterUnderTest master;
    std::vector<pid_t> before = master.worker_pids();
    master.write_config({.body = "second"});
    for (int round = 0; round < 2; ++round) {
        REQUIRE(master.cli({"reload", "--fresh"}).code() == 0);
        CHECK(master.get() == "second");
        master.wait_serving(2);
        const std::vector<pid_t> after = master.worker_pids();
        for (const pid_t pid : before)
            CHECK_FALSE(contains(after, pid));
        before = after;
    }
    master.finish();
}

TEST_CASE("a worker that dies between two hot reloads comes back with the running generation") {
    MasterUnderTest master;
    master.write_config({.body = "second"});
    REQUIRE(master.control("reload").ok);
    const pid_t victim = master.worker_pids().front();
    kill(victim, SIGKILL);
    master.wait_replaced({victim});
    for (const WorkerView& worker : master.status().workers)
        CHECK(worker.generation == 2);
    for (int i = 0; i < 20; ++i)
        CHECK(master.get() == "second");
    master.finish();
}

TEST_CASE("the pool grows and shrinks in place, and no idle connection is lost") {
    MasterUnderTest master({.workers = 4});
    std::vector<HttpClient> clients;
    for (int i = 0; i < 40; ++i) {
        clients.emplace_back(master.http_port());
        CHECK(clients.back().get().body == "first");
    }
    for (const unsigned workers : {1U, 3U, 2U, 4U}) {
        const std::string body = std::to_string(workers);
        master.write_config({.body = body, .workers = workers});
        REQUIRE(master.control("reload").ok);
        for (HttpClient& client : clients)
            CHECK(client.get().body == body);
    }
    master.finish();
}

TEST_CASE("an address that was kept over reloads and then dropped is closed, its connections stay") {
    MasterUnderTest master;
    const ReservedPort third;
    const std::string listen =
        "\n[[pool.main.listen]]\naddress = \"" + third.address() + "\"\nmodule = \"http\"\n";
    for (const char* body : {"second", "third"}) {
        master.write_config({.body = body, .rest = listen});
        REQUIRE(master.control("reload").ok);
    }
    HttpClient kept(third.number());
    CHECK(kept.get().body == "third");
    master.write_config({.body = "fourth"});
    REQUIRE(master.control("reload").ok);
    CHECK(kept.get().body == "fourth");
    CHECK_THROWS(http_get(third.number()));
    const UniqueFd taken = occupy_port(third.number());
    master.finish();
}

TEST_CASE("listeners whose ports the kernel chose stay apart") {
    MasterUnderTest master;
    const std::string listen =
        "\n[[pool.main.listen]]\naddress = \"127.0.0.1:0\"\nmodule = \"http\"\n"
        "\n[[pool.main.listen]]\naddress = \"127.0.0.1:0\"\nmodule = \"http\"\n";
    for (const char* body : {"second", "third", "fourth"}) {
        const std::vector<pid_t> before = master.worker_pids();
        master.write_config({.body = body, .rest = listen});
        REQUIRE(master.control("reload").ok);
        CHECK(master.get() == body);
        CHECK(master.worker_pids() == before);
    }
    master.finish();
}

TEST_CASE("workers at max_connections survive a reload that drops a listener with a queue") {
    MasterUnderTest master({.workers = 1, .pool = "max_connections = 5\n"});
    const ReservedPort third;
    const std::string listen =
        "\n[[pool.main.listen]]\naddress = \"" + third.address() + "\"\nmodule = \"http\"\n";
    const std::string pool = "max_connections = 5\n";
    master.write_config({.body = "second", .workers = 1, .pool = pool, .rest = listen});
    REQUIRE(master.control("reload").ok);
    const std::vector<pid_t> before = master.worker_pids();
    std::vector<StreamClient> clients;
    for (int i = 0; i < 10; ++i)
        clients.push_back(StreamClient::connect_tcp(third.number()));
    master.write_config({.body = "third", .workers = 1, .pool = pool});
    REQUIRE(master.control("reload").ok);
    CHECK(master.worker_pids() == before);
    clients.clear();
    CHECK(master.get() == "third");
    master.finish();
}

}  // namespace drover::test
