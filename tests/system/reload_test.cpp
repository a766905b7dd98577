// HUP and `drover reload`: a new generation beside the old one, or nothing at all.
#include "tests/support/http_load.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <algorithm>

#include <doctest/doctest.h>

namespace drover::test {

TEST_CASE("HUP publishes a new generation to all workers") {
    MasterUnderTest master;
    const std::vector<pid_t> before = master.worker_pids();
    master.write_config({.body = "second", .workers = 3});
    const StatusView view = master.reload_by_signal();
    CHECK(view.generation == 2);
    REQUIRE(view.last_reload);
    CHECK(view.last_reload->result == "ok");
    CHECK(view.last_reload->generation == 2);
    CHECK(master.get() == "second");
    master.wait_serving(3);
    CHECK(children_of(master.pid()).size() == 3);
    const std::vector<pid_t> after = master.worker_pids();
    for (const pid_t pid : before)
        CHECK(std::find(after.begin(), after.end(), pid) != after.end());
    master.finish();
}

TEST_CASE("a fresh reload brings new workers") {
    MasterUnderTest master({.master = "reload = \"fresh\"\n"});
    const std::vector<pid_t> before = master.worker_pids();
    master.write_config({.body = "second", .workers = 3, .master = "reload = \"fresh\"\n"});
    REQUIRE(master.control("reload").ok);
    CHECK(master.get() == "second");
    master.wait_serving(3);
    const std::vector<pid_t> after = master.worker_pids();
    for (const pid_t pid : before)
        CHECK(std::find(after.begin(), after.end(), pid) == after.end());
    master.finish();
}

TEST_CASE("from the verdict on every new connection sees the new configuration") {
    MasterUnderTest master({.workers = 4});
    for (int round = 0; round < 5; ++round) {
        const std::string body = "round " + std::to_string(round);
        master.write_config({.body = body, .workers = 4});
        REQUIRE(master.control("reload").ok);
        for (int i = 0; i < 50; ++i)
            REQUIRE(master.get() == body);
    }
    master.finish();
}

TEST_CASE("a reload that changes nothing says so and keeps the workers") {
    MasterUnderTest master;
    const std::vector<pid_t> before = master.worker_pids();
    const CommandResult result = master.cli({"reload"});
    CHECK(result.code() == 0);
    CHECK(master.worker_pids() == before);
    CHECK(master.status().generation == 1);
    master.finish();
}

TEST_CASE("reload = \"fresh\" makes new workers for a change that could be applied hot") {
    MasterUnderTest master({.master = "reload = \"fresh\"\n"});
    const std::vector<pid_t> before = master.worker_pids();
    master.write_config({.master = "reload = \"fresh\"\nlog_level = \"debug\"\n"});
    CHECK(master.cli({"reload"}).code() == 0);
    master.wait_serving(2);
    for (const pid_t pid : master.worker_pids())
        CHECK(std::find(before.begin(), before.end(), pid) == before.end());
    master.finish();
}

namespace {

// Reloads under load, each to another number of workers out of `sizes`.
void check_no_failure(const std::vector<unsigned>& sizes) {
    MasterUnderTest master({.workers = sizes.back()});
    HttpLoad load(master.http_port());
    for (unsigned round = 0; round < 60; ++round) {
        master.write_config(
            {.body = "round " + std::to_string(round), .workers = sizes[round % sizes.size()]});
        const ControlReply reply = master.control("reload");
        CHECK_MESSAGE(reply.ok, reply.text);
    }
    load.stop();
    CHECK(load.replies() > 0);
    CHECK_MESSAGE(load.failures() == 0, load.failures()
                                            << " failed, the first with: " << load.first_failure());
    master.finish();
}

}  // namespace

TEST_CASE("no connection fails while generations change") {
    check_no_failure({3});
}
TEST_CASE("no connection fails while generations grow and shrink") {
    check_no_failure({1, 2, 4, 3});
}

TEST_CASE("a busy connection goes on with the new generation, half a request and all") {
    MasterUnderTest master;
    HttpClient busy(master.http_port());
    busy.stream().send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo");
    CHECK(busy.read_reply().body == "first");
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "second");
    CHECK(busy.stream().quiet());
    busy.stream().send("st: localhost\r\n\r\n");
    const HttpReply reply = busy.read_reply();
    CHECK(reply.body == "second");
    CHECK(reply.keeps_alive());
    CHECK(busy.get("/").body == "second");
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("a listener can be added, moved and removed") {
    MasterUnderTest master;
    const ReservedPort third;
    const std::string listen =
        "\n[[pool.main.listen]]\naddress = \"" + third.address() + "\"\nmodule = \"http\"\n";
    master.write_config({.rest = listen});
    CHECK(master.control("reload").ok);
    CHECK(http_get(third.number()).body == "first");
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    CHECK_THROWS(http_get(third.number()));
    CHECK(master.get() == "second");
    master.wait_serving(2);
    master.finish();
}

TEST_CASE("a port taken on reload refuses it and leaves everything as it was") {
    MasterUnderTest master;
    const std::vector<pid_t> before = master.worker_pids();
    const std::size_t fds = count_fds_of(master.pid());
    const ReservedPort taken;
    const UniqueFd occupier = occupy_port(taken.number());

    const std::string listen_table =
        "\n[[pool.main.listen]]\naddress = \"" + taken.address() + "\"\nmodule = \"http\"\n";
    master.write_config({.body = "second", .rest = listen_table});
    const CommandResult result = master.cli({"reload"});
    CHECK(result.code() == 1);
    CHECK_MESSAGE(result.errors.find(taken.address()) != std::string::npos, result.errors);
    const StatusView view = master.status();
    CHECK(view.generation == 1);
    CHECK(view.state == "running");
    REQUIRE(view.last_reload);
    CHECK(view.last_reload->result == "refused");
    CHECK(view.last_reload->error.find(taken.address()) != std::string::npos);
    CHECK(master.worker_pids() == before);
    CHECK(master.get() == "first");
    CHECK(count_fds_of(master.pid()) == fds);
    master.finish();
}

TEST_CASE("a reload that changes runtime_dir is refused") {
    MasterUnderTest master;
    std::string text = master.config_text({});
    text.replace(text.find("\"run\""), 5, "\"run2\"");
    master.write_config_text(text);
    const ControlReply reply = master.control("reload");
    CHECK_FALSE(reply.ok);
    CHECK(reply.text.find("runtime_dir") != std::string::npos);
    CHECK(master.status().generation == 1);
    master.write_config({.body = "second"});
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "second");
    master.finish();
}

TEST_CASE("1,000 HUPs without waiting end in the last configuration") {
    MasterUnderTest master;
    for (int i = 0; i < 1000; ++i) {
        if (i % 50 == 0) master.write_config({.body = "step " + std::to_string(i)});
        master.signal(SIGHUP);
    }
    master.write_config({.body = "last"});
    master.signal(SIGHUP);
    const Deadline deadline(std::chrono::seconds(30));
    const auto settled = [&] {
        const StatusView view = master.status();
        return view.state == "running" && view.serving(2) && master.get() == "last";
    };
    master.wait_until("the last configuration", settled, deadline);
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "last");
    CHECK(children_of(master.pid()).size() == 2);
    master.finish();
}

TEST_CASE("commands that wait for a reload at the same time all get a verdict") {
    MasterUnderTest master;
    master.write_config({.body = "second"});
    std::vector<ControlCall> callers;
    for (int i = 0; i < 8; ++i) {
        callers.push_back(master.start_control("reload"));
    }
    for (ControlCall& caller : callers) {
        const ControlReply reply = caller.wait();
        CHECK_MESSAGE(reply.ok, reply.text);
    }
    CHECK(master.get() == "second");
    master.finish();
}

}  // namespace drover::test
