// Modules that crash, hang and lie: what one process does stays in it.
#include "tests/support/proc.h"
#include "tests/support/trouble_program.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <unistd.h>

namespace drover::test {
namespace {

const std::string modules = "\"http\", \"echo\", \"trouble\"";
const std::string pool = "start_timeout = \"500ms\"\nrespawn = { delay = \"10ms\", burst = 1000 }\n";

struct TroubledMaster {
    ReservedPort port;
    MasterUnderTest master;

    explicit TroubledMaster(const std::string& trouble = "") : master(config(trouble), trouble_program) {}

    TestConfig config(const std::string& trouble, const std::string& body = "first") const {
        return {.body = body,
                .modules = modules,
                .pool = pool,
                .rest = "\n[[pool.main.listen]]\naddress = \"" + port.address() +
                        "\"\nmodule = \"trouble\"\n" + "\n[module.trouble]\n" + trouble};
    }
};

// A reload to a configuration with this trouble in it changes nothing.
void check_trouble_refused(const std::string& trouble, const std::string& reason) {
    TroubledMaster troubled;
    MasterUnderTest& master = troubled.master;
    const std::vector<pid_t> before = children_of(master.pid());
    const std::size_t fds = count_fds_of(master.pid());
    master.write_config(troubled.config(trouble, "second"));
    ControlCall caller = master.start_control("reload");
    const Deadline deadline(std::chrono::seconds(20));
    while (caller.unanswered(std::chrono::milliseconds(50)) && !deadline.passed())
        REQUIRE(master.get() == "first");
    const ControlReply reply = caller.wait();
    CHECK_FALSE(reply.ok);
    CHECK_MESSAGE(reply.text.find(reason) != std::string::npos, reply.text);
    const StatusView view = master.status();
    CHECK(view.generation == 1);
    REQUIRE(view.last_reload);
    CHECK(view.last_reload->result != "ok");
    CHECK(master.output().find("while it was leaving") == std::string::npos);
    const std::vector<pid_t> now = view.pids();
    for (const pid_t pid : before)
        CHECK(std::find(now.begin(), now.end(), pid) != now.end());
    master.wait_until("no process of the refused generation",
                      [&] { return children_of(master.pid()) == before; });
    // What was reaped is closed a moment later.
    master.wait_until("its descriptors to be closed", [&] { return count_fds_of(master.pid()) == fds; });

    master.write_config(troubled.config("", "third"));
    CHECK(master.control("reload").ok);
    CHECK(master.get() == "third");
    master.finish();
}

}  // namespace

TEST_CASE("a module whose check throws: its text is the finding") {
    check_trouble_refused("in_check = \"throw\"\n", "trouble was asked for");
}
TEST_CASE("a config reader that is killed") {
    check_trouble_refused("in_check = \"crash\"\n", "SIGKILL");
}
TEST_CASE("a config reader that makes the master its tracer is killed") {
    check_trouble_refused("in_check = \"trace\"\n", "SIGKILL");
}
TEST_CASE("a config reader that exits without a word") {
    check_trouble_refused("in_check = \"exit\"\n", "reader");
}
TEST_CASE("a config reader that hangs meets its deadline") {
    check_trouble_refused("in_check = \"hang\"\n", "reader");
}
TEST_CASE("a config reader that sends garbage") {
    check_trouble_refused("in_check = \"garbage\"\n", "reader");
}
TEST_CASE("a config reader that makes an image of its own") {
    check_trouble_refused("in_check = \"forge\"\n",
                          "its directory, user, files or addresses are not those of the file");
}
TEST_CASE("a config reader that eats memory") {
    if (!sanitizers) check_trouble_refused("in_check = \"memory\"\n", "");
}
TEST_CASE("a worker whose start throws: the reload says so") {
    check_trouble_refused("in_start = \"throw\"\n", "trouble was asked for");
}
TEST_CASE("a worker that crashes at start") {
    check_trouble_refused("in_start = \"crash\"\n", "SIGKILL");
}
TEST_CASE("a worker that exits at start") {
    check_trouble_refused("in_start = \"exit\"\n", "main/");
}
TEST_CASE("a worker that hangs at start meets start_timeout") {
    check_trouble_refused("in_start = \"hang\"\n", "main/");
}
TEST_CASE("a worker that sends garbage at start") {
    check_trouble_refused("in_start = \"garbage\"\n", "main/");
}

TEST_CASE("a worker that makes the master its tracer is killed and replaced") {
    TroubledMaster troubled;
    MasterUnderTest& master = troubled.master;
    const std::vector<pid_t> before = master.worker_pids();
    StreamClient client = StreamClient::connect_tcp(troubled.port.number());
    client.send("trace\n");
    master.wait_until("a worker replaced", [&] {
        const std::vector<pid_t> now = master.worker_pids();
        return now.size() == 2 && now != before;
    });
    // Its socket is closed: it has ended, not only its slot been filled.
    CHECK(client.ended());
    master.wait_serving(2);
    CHECK(master.output().find("killed by signal 9") != std::string::npos);
    master.finish();
}

TEST_CASE("a worker that sends garbage on its channel is killed and replaced") {
    TroubledMaster troubled;
    MasterUnderTest& master = troubled.master;
    const std::vector<pid_t> before = master.worker_pids();
    StreamClient client = StreamClient::connect_tcp(troubled.port.number());
    client.send("garbage\n");
    master.wait_until("a worker replaced", [&] {
        const StatusView view = master.status();
        return view.serving(2) && view.pids() != before;
    });
    CHECK(master.get() == "first");
    CHECK(master.status().generation == 1);
    CHECK(master.status().counters.at("drover_worker_deaths_total{cause=\"killed\"}") == 1);
    master.finish();
}

TEST_CASE("a worker that asks for rows without reading them gets no more before it reads") {
    TroubledMaster troubled;
    TestConfig config = troubled.config("");
    config.pool += "observes = true\n";
    config.workers = 1;
    troubled.master.write_config(config);
    REQUIRE(troubled.master.control("reload").ok);
    StreamClient client = StreamClient::connect_tcp(troubled.port.number());
    const std::string file = troubled.master.folder().file("asks");
    write_file(file, "");
    client.send("rows " + file + "\n");
    troubled.master.wait_until("questions", [&] { return ::access(file.c_str(), F_OK) != 0; });
    // The master reads 32 messages of a worker in a turn.
    for (int turn = 0; turn < 10; ++turn)
        CHECK(troubled.master.status().generation > 0);
    write_file(file, "");
    const std::string answers = client.read_until(" answers\n");
    CHECK_MESSAGE(std::stoul(answers) < 10, answers);
    troubled.master.finish();
}

TEST_CASE("a connection that its module does not take is refused, said and counted") {
    TroubledMaster troubled("in_connection = \"throw\"\n");
    MasterUnderTest& master = troubled.master;
    for (int i = 0; i < 3; ++i) {
        StreamClient client = StreamClient::connect_tcp(troubled.port.number());
        CHECK(client.read_to_end().empty());
    }
    master.wait_until("the count",
                      [&] { return master.status().counters.at("drover_connections_refused_total") == 3; });
    master.wait_output("connection refused: trouble was asked for");
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("a worker that hangs while it serves is forced at a stop") {
    TroubledMaster troubled;
    MasterUnderTest& master = troubled.master;
    StreamClient client = StreamClient::connect_tcp(troubled.port.number());
    client.send("hang\n");
    master.finish(SIGINT);
}

TEST_CASE("a start with a module that fails ends with one clear line and leaves nothing") {
    for (const char* trouble :
         {"in_start = \"throw\"\n", "in_start = \"crash\"\n", "in_start = \"hang\"\n"}) {
        const TestConfig config{
            .modules = modules, .pool = pool, .rest = "\n[module.trouble]\n" + std::string(trouble)};
        MasterUnderTest master(config, {.wait_ready = false, .program = DROVER_TROUBLE_PROGRAM});
        CHECK(master.wait_exit() == Exit{1, 0});
        CHECK(master.output().find("main/") != std::string::npos);
        master.verify_clean({1, 0});
    }
    const TestConfig config{
        .modules = modules, .pool = pool, .rest = "\n[module.trouble]\nin_check = \"throw\"\n"};
    MasterUnderTest master(config, {.wait_ready = false, .program = DROVER_TROUBLE_PROGRAM});
    master.wait_exit();
    CHECK(master.output().find("trouble was asked for") != std::string::npos);
    master.verify_clean({78, 0});
}

TEST_CASE("what the service manager gave the master does not reach its workers") {
    TroubledMaster troubled;
    StreamClient client = StreamClient::connect_tcp(troubled.port.number());
    client.send("env NOTIFY_SOCKET\n");
    CHECK(client.read_until("ok\n") == "unsetok\n");
    troubled.master.finish();
}

namespace {

bool shows_control(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < 0x20 && c != '\n') || c == 0x7f; }) ||
           text.find("\xc2\x9b") != std::string_view::npos;
}

}  // namespace

TEST_CASE("texts of modules and configurations reach nobody's terminal with their control characters") {
    const std::string hostile = R"(\u001b]0;owned\u0007\u009b31m\u007f\n2026-01-01 forged)";
    const std::string shown = R"(\x1b]0;owned\x07\u009b31m\x7f\n2026-01-01 forged)";
    TestConfig config{.modules = "\"http\", \"echo\", \"trouble\""};
    MasterUnderTest master(config, {.program = DROVER_TROUBLE_PROGRAM});
    const auto refuse = [&](const std::string& rest) {
        config.rest = rest;
        master.write_config(config);
        const CommandResult reload = master.cli({"reload"});
        CHECK(reload.code() == 1);
        for (const CommandResult& result : {reload, master.cli({"status"}), master.cli({"status", "--json"}),
                                            master.cli({"events"}), master.cli({"events", "--json"})}) {
            CHECK_FALSE_MESSAGE(shows_control(result.output), result.output);
            CHECK_FALSE_MESSAGE(shows_control(result.errors), result.errors);
        }
        CHECK_FALSE(shows_control(master.output()));
        return reload.errors;
    };
    const auto contains = [&](const std::string& text) { return text.find(shown) != std::string::npos; };
    CHECK(contains(refuse("\n[module.trouble]\nin_check = \"throw " + hostile + "\"\n")));
    CHECK(contains(refuse("\n[module.trouble]\nin_start = \"throw " + hostile + "\"\n")));
    // The key itself, and a file that is not there.
    CHECK_FALSE(shows_control(refuse("\n[module.trouble]\n\"" + hostile + "\" = 1\n")));
    CHECK_FALSE(shows_control(refuse("\n[module.http]\naccess_log = \"missing/" + hostile + "\"\n")));
    const CommandResult check = run_command({DROVER_TROUBLE_PROGRAM, "check", "-c", master.config_path()});
    CHECK_FALSE_MESSAGE(shows_control(check.errors), check.errors);
    master.finish();
}

}  // namespace drover::test
