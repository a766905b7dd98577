// How many generations are alive at a time, and what keeps them so.
#include "tests/support/trouble_program.h"
#include "tests/support/unfinished_request.h"

#include <filesystem>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

TestConfig config(const std::string& body) {
    return {.body = body, .workers = 1, .drain_timeout = "20s", .master = "max_generations = 2\n"};
}

}  // namespace

TEST_CASE("a fresh reload that would make too many generations is refused, and works when one has gone") {
    MasterUnderTest master(config("first"));
    UnfinishedRequest first(master.http_port());
    master.write_config(config("second"));
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    master.write_config(config("third"));
    const CommandResult refused = master.cli({"reload", "--fresh"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(refused.errors.find("2 generations are alive, and master.max_generations is 2; draining: "
                                      "generation 1: 1 workers with 1 connections") != std::string::npos,
                  refused.errors);
    CHECK(master.get() == "second");
    CHECK(first.finish().status == 200);
    master.wait_until("the first generation to leave", [&] { return master.status().workers.size() == 1; });
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    CHECK(master.get() == "third");
    master.finish();
}

// The first generation is not counted: echo has its options from it still.
TEST_CASE("requests of too many generations keep a worker from another hot reload") {
    MasterUnderTest master(config("first"));
    UnfinishedRequest first(master.http_port());
    master.write_config(config("second"));
    CHECK(master.cli({"reload"}).code() == 0);
    UnfinishedRequest second(master.http_port());
    master.write_config(config("third"));
    CHECK(master.cli({"reload"}).code() == 0);
    master.write_config(config("fourth"));
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(
        refused.errors.find("requests that are under way still use 2 generations") != std::string::npos,
        refused.errors);
    CHECK(master.get() == "third");
    // Each is answered by the generation that it began with.
    CHECK(first.finish().body == "first");
    CHECK(second.finish().body == "second");
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(master.get() == "fourth");
    master.finish();
}

TEST_CASE("a module without a change is in no reload's way") {
    TestConfig next = config("first");
    next.modules = "\"http\", \"echo\", \"trouble\"";
    MasterUnderTest master(next, trouble_program);
    const std::vector<pid_t> workers = master.worker_pids();
    for (int round = 1; round <= 5; ++round) {
        next.rest = "\n[module.trouble]\nafter = \"" + std::to_string(round) + "s\"\n";
        master.write_config(next);
        const CommandResult reload = master.cli({"reload"});
        CHECK_MESSAGE(reload.code() == 0, reload.errors);
    }
    CHECK(master.worker_pids() == workers);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("a refused hot reload leaves the access log where it is") {
    const std::string log = "[module.http]\nmin_rate = 0\naccess_log = \"access.log\"\n";
    const auto with_log = [&](const std::string& body) {
        TestConfig with = config(body);
        with.rest = log;
        return with;
    };
    MasterUnderTest master(with_log("first"));
    const std::string path = master.folder().file("access.log");
    UnfinishedRequest first(master.http_port());
    master.write_config(with_log("second"));
    REQUIRE(master.cli({"reload"}).code() == 0);
    UnfinishedRequest second(master.http_port());
    master.write_config(with_log("third"));
    REQUIRE(master.cli({"reload"}).code() == 0);
    std::filesystem::rename(path, path + ".1");
    master.write_config(with_log("fourth"));
    CHECK(master.cli({"reload"}).code() == 1);
    master.get("/after");
    const auto holds_it = [](const std::string& file) {
        return read_file(file).find("GET /after") != std::string::npos;
    };
    master.wait_until("the line", [&] { return holds_it(path) || holds_it(path + ".1"); });
    CHECK_FALSE(holds_it(path));
    CHECK(first.finish().status == 200);
    CHECK(second.finish().status == 200);
    master.finish();
}

TEST_CASE("the log says how far those are that drain") {
    MasterUnderTest master(config("first"));
    UnfinishedRequest request(master.http_port());
    master.signal(SIGTERM);
    master.wait_output("draining: generation 1: 1 workers with 1 connections");
    CHECK(request.finish().status == 200);
    CHECK(master.wait_exit() == Exit{0, 0});
    master.verify_clean();
}

}  // namespace drover::test
