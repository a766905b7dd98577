// What happens when two things happen at once: reloads, replacements, resizes and deaths in each other's way.
#include "tests/support/held_connections.h"
#include "tests/support/proc.h"
#include "tests/support/trouble_program.h"

#include <algorithm>
#include <memory>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace drover::test {
namespace {

TestConfig troubled(const std::string& trouble, unsigned workers = 1) {
    return {.workers = workers,
            .modules = "\"http\", \"echo\", \"trouble\"",
            .master = "[master.probation]\ntime = \"off\"\n",
            .pool = "start_timeout = \"1s\"\nrespawn = { burst = 1000 }\n",
            .rest = "\n[module.trouble]\n" + trouble};
}

// It has read its orders, and hangs by now.
pid_t wait_newcomer(MasterUnderTest& master, const std::string& orders, pid_t known) {
    pid_t newcomer = 0;
    master.wait_until("a newcomer that obeys", [&] {
        for (const pid_t pid : children_of(master.pid()))
            newcomer = pid != known ? pid : newcomer;
        return newcomer != 0 && ::access(orders.c_str(), F_OK) != 0;
    });
    return newcomer;
}

Child start_cli(const MasterUnderTest& master, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), DROVER_PROGRAM);
    arguments.insert(arguments.end(), {"-c", master.config_path()});
    return Child::start(arguments);
}

}  // namespace

TEST_CASE("a worker that dies right after it has prepared is replaced once") {
    MasterUnderTest master(troubled(""), trouble_program);
    for (int i = 0; i < 10; ++i) {
        TestConfig config = troubled("in_prepare = \"crash\"\n");
        config.body = "round " + std::to_string(i);
        master.write_config(config);
        CHECK(master.control("reload").ok);
    }
    master.wait_until("one worker", [&] { return children_of(master.pid()).size() == 1; });
    master.wait_serving(1);
    CHECK(master.get() == "round 9");
    CHECK(master.output().find("channel to the master closed") == std::string::npos);
    master.finish();
}

TEST_CASE("a newcomer that hangs, and whose worker is killed meanwhile, meets its start_timeout") {
    const TemporaryFolder folder;
    const std::string orders = folder.file("orders");
    MasterUnderTest master(troubled("in_start = \"obey " + orders + "\"\n"), trouble_program);
    const pid_t before = master.worker_pids().front();
    write_file(orders, "hang");
    Child caller = start_cli(master, {"worker", "restart", "main/0"});
    wait_newcomer(master, orders, before);
    kill(before, SIGKILL);
    CHECK(caller.wait_exit().code == 1);
    master.wait_serving(1);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("a newcomer that hangs is ended by a hot reload, and another one takes over") {
    const TemporaryFolder folder;
    const std::string orders = folder.file("orders");
    const std::string trouble = "in_start = \"obey " + orders + "\"\n";
    MasterUnderTest master(troubled(trouble), trouble_program);
    const pid_t before = master.worker_pids().front();
    write_file(orders, "hang");
    Child caller = start_cli(master, {"worker", "restart", "main/0"});
    const UniqueFd newcomer = open_pidfd(wait_newcomer(master, orders, before));
    TestConfig second = troubled(trouble);
    second.body = "second";
    master.write_config(second);
    CHECK(master.control("reload").ok);
    CHECK(caller.wait_exit().code == 0);
    CHECK(wait_gone(newcomer));
    CHECK(master.get() == "second");
    master.wait_serving(1);
    CHECK(master.worker_pids() != std::vector{before});
    const StatusView view = master.status();
    for (const auto& counter : view.counters) {
        if (counter.first.starts_with("drover_worker_deaths_total"))
            CHECK_MESSAGE(counter.second == 0, counter.first);
    }
    master.finish();
}

TEST_CASE("one long upload keeps one old worker, however many fresh reloads follow") {
    MasterUnderTest master({.workers = 1, .drain_timeout = "60s", .master = "max_generations = 3\n"});
    HttpClient upload(master.http_port());
    upload.stream().send("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    upload.stream().read_until("100 Continue\r\n\r\n");
    HttpClient idle(master.http_port());
    CHECK(idle.get().status == 200);
    for (int i = 0; i < 6; ++i) {
        const CommandResult result = master.cli({"reload", "--fresh"});
        REQUIRE_MESSAGE(result.code() == 0, result.errors);
        CHECK(idle.get().status == 200);
    }
    master.wait_until("the worker of the upload and the new one",
                      [&] { return master.worker_pids().size() == 2; });
    upload.stream().send("done");
    CHECK(upload.read_reply().status == 200);
    // It goes on in the newest worker.
    CHECK(upload.get().status == 200);
    master.wait_serving(1);
    master.finish();
}

TEST_CASE("half-open connections of retired sockets survive a hot reload") {
    const auto config = [](unsigned workers, const std::string& body) {
        return TestConfig{.body = body, .workers = workers};
    };
    MasterUnderTest master(config(4, "first"));
    const auto with_defer = [&](unsigned workers, const std::string& body) {
        std::string text = master.config_text(config(workers, body));
        const std::string listener = "module = \"http\"\n";
        return text.insert(text.find(listener), "defer_accept = \"60s\"\n");
    };
    master.write_config_text(with_defer(4, "first"));
    CHECK(master.control("reload").ok);
    // The kernel keeps these until they have sent something.
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < 40; ++i)
        clients.push_back(std::make_unique<HttpClient>(master.http_port()));
    CHECK(master.cli({"workers", "1"}).code() == 0);
    master.write_config_text(with_defer(1, "second"));
    CHECK(master.control("reload").ok);
    for (const auto& client : clients)
        CHECK(client->get().body == "second");
    master.wait_serving(1);
    master.finish();
}

TEST_CASE("a refused growth leaves no socket without a worker") {
    const TemporaryFolder folder;
    const std::string stop = folder.file("stop");
    MasterUnderTest master(troubled("", 2), trouble_program);
    // Bound by us first, it cannot be listened on when its turn comes.
    const ReservedPort taken;
    const UniqueFd rival(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    REQUIRE(setsockopt(rival.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(taken.number());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(rival.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    write_file(stop, "");
    TestConfig grown = troubled("in_start = \"stop " + stop + "\"\n", 4);
    grown.pool = "start_timeout = \"20s\"\n";
    grown.rest =
        "\n[[pool.main.listen]]\naddress = \"" + taken.address() + "\"\nmodule = \"http\"\n" + grown.rest;
    master.write_config(grown);
    ControlCall call = master.start_control("reload");
    pid_t stopped = 0;
    master.wait_until("a newcomer that stands still, and holds the others up", [&] {
        for (const pid_t pid : children_of(master.pid())) {
            if (state_of(pid) == 'T') stopped = pid;
        }
        return stopped != 0;
    });
    REQUIRE(listen(rival.get(), 1) == 0);
    kill(stopped, SIGCONT);
    CHECK_FALSE(call.wait().ok);
    for (int i = 0; i < 40; ++i)
        CHECK(master.get() == "first");
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("orders that a signal makes impossible are answered") {
    MasterUnderTest master({.pool = "respawn = { burst = 0, delay = \"1m\", max_delay = \"1m\" }\n"});
    const pid_t victim = master.worker_pids().back();
    kill(victim, SIGKILL);
    master.wait_until("the slot to back off",
                      [&] { return master.status().workers.back().state == "backing_off"; });
    // It waits for a worker that will not come.
    Child caller = start_cli(master, {"workers", "2"});
    master.wait_output("pool main: 2 workers");
    master.signal(SIGTTOU);
    CHECK(caller.wait_exit().code == 1);
    master.finish();
}

}  // namespace drover::test
