// The command line: exit codes and what it prints.
#include "tests/support/contains.h"
#include "tests/support/held_connections.h"
#include "tests/support/master_under_test.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>

namespace drover::test {
namespace {

CommandResult drover(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), DROVER_PROGRAM);
    return run_command(arguments);
}

}  // namespace

TEST_CASE("help and version end with 0, wrong usage with 2") {
    const CommandResult help = drover({"help"});
    CHECK(help.code() == 0);
    for (const std::string command :
         {"run", "check", "reload", "stop", "quit", "reopen", "status", "config", "version"}) {
        CHECK_MESSAGE(contains(help.output, command), "help does not name " << command);
    }
    CHECK(drover({"--help"}).code() == 0);
    const CommandResult version = drover({"version"});
    CHECK(version.code() == 0);
    CHECK(contains(version.output, "0.1"));
    CHECK(drover({}).code() == 2);
    CHECK(drover({"explode"}).code() == 2);
    CHECK(drover({"status", "--explode"}).code() == 2);
    CHECK(drover({"run", "-c"}).code() == 2);
    const CommandResult wrong = drover({"explode"});
    CHECK(wrong.output.empty());
    CHECK_FALSE(wrong.errors.empty());
}

TEST_CASE("without a configuration one line says what to do") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    for (const char* const command : {"run", "check"}) {
        const CommandResult refused = drover({command, "-c", path});
        CHECK(refused.code() == 78);
        CHECK(refused.errors == "drover: " + path +
                                    ": there is no such file; name the configuration with -c FILE, or write "
                                    "one: `drover help config` explains every key\n");
    }
}

TEST_CASE("help config is the reference of every key") {
    const CommandResult help = drover({"help", "config"});
    CHECK(help.code() == 0);
    for (const std::string key :
         {"runtime_dir", "log_level", "max_connections", "drain_timeout", "balance", "backlog"}) {
        CHECK_MESSAGE(contains(help.output, key), "the reference does not name " << key);
    }
}

TEST_CASE(
    "a master that stands still: what only asks gives it up, what changes something says so and waits") {
    MasterUnderTest master({.workers = 1});
    const std::string told = master.folder().file("told");
    const UniqueFd errors(::open(told.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(freeze(master.pid()));
    Child patient = Child::start({DROVER_PROGRAM, "workers", "2", "-c", master.config_path()},
                                 {.output = errors.get(), .errors = errors.get()});
    for (const char* const command : {"status", "events"}) {
        const CommandResult asked = master.cli({command});
        CHECK(asked.code() == 1);
        CHECK(contains(asked.errors, "no answer from the master within 5 s"));
    }
    const Deadline deadline;
    while (!contains(read_file(told), "within 5 s; waiting") && !deadline.passed())
        ::sched_yield();
    CHECK(contains(read_file(told), "within 5 s; waiting"));
    master.signal(SIGCONT);
    CHECK(patient.wait_exit().code == 0);
    master.finish();
}

TEST_CASE("check says that a configuration is valid, or every finding") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    const std::string good = TestConfig().text("127.0.0.1:8080", "127.0.0.1:8081");
    write_file(path, good);
    const CommandResult valid = drover({"check", "-c", path});
    CHECK(valid.code() == 0);
    CHECK(contains(valid.output, "configuration is valid"));

    const TestConfig bad{.master = "log_level = \"loud\"\nspelling = 1\n", .pool = "max_connections = -3\n"};
    write_file(path, bad.text("127.0.0.1:8080", "127.0.0.1:8080"));
    const CommandResult findings = drover({"check", "-c", path});
    CHECK(findings.code() == 78);
    for (const std::string finding : {"log_level", "spelling", "max_connections", "127.0.0.1:8080"}) {
        CHECK_MESSAGE(contains(findings.errors, finding),
                      "no finding about " << finding << ": " << findings.errors);
    }
    CHECK(contains(findings.errors, "drover.toml:"));

    CHECK(drover({"check", "-c", folder.file("missing.toml")}).code() == 78);
    CHECK(drover({"run", "-c", folder.file("missing.toml")}).code() == 78);
}

TEST_CASE("commands without a master end with 1 and say so") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path, TestConfig().text("127.0.0.1:8080", "127.0.0.1:8081"));
    for (const std::string command : {"reload", "stop", "quit", "reopen", "status", "config"}) {
        const CommandResult result = drover({command, "-c", path});
        CHECK_MESSAGE(result.code() == 1, command << " ended with " << to_text(result.end));
        CHECK(contains(result.errors, "control.sock"));
    }
}

TEST_CASE("status is a table, or JSON") {
    MasterUnderTest master;
    const CommandResult table = master.cli({"status"});
    CHECK(table.code() == 0);
    CHECK(contains(table.output, "main"));
    CHECK(contains(table.output, "serving"));
    CHECK(contains(table.output, std::to_string(master.pid())));
    CHECK(contains(table.output, "127.0.0.1:" + std::to_string(master.http_port())));
    CHECK_MESSAGE(std::ranges::count(table.output, '\n') <= 25, table.output);
    CHECK_FALSE(contains(table.output, "drover_"));
    const CommandResult counters = master.cli({"status", "--counters"});
    CHECK(contains(counters.output, "drover_worker_starts_total "));
    CHECK_FALSE(contains(counters.output, "drover_worker_deaths_total"));
    CHECK(contains(master.cli({"status", "--counters", "deaths"}).output, "drover_worker_deaths_total{"));
    CHECK(drover({"status", "--counters", "a", "b"}).code() == 2);
    CHECK(drover({"reload", "--counters"}).code() == 2);
    const CommandResult json = master.cli({"status", "--json"});
    CHECK(json.code() == 0);
    const StatusView view = StatusView::parse(json.output);
    CHECK(view.pid == master.pid());
    CHECK(view.serving(2));
    master.finish();
}

TEST_CASE("config prints the running configuration, not the file") {
    MasterUnderTest master({.pool = "max_connections = 1234\n"});
    master.write_config({.pool = "max_connections = 4321\n"});
    for (const std::string& format : {std::string(), std::string("--json")}) {
        std::vector<std::string> arguments{"config"};
        if (!format.empty()) arguments.push_back(format);
        const CommandResult result = master.cli(arguments);
        CHECK(result.code() == 0);
        CHECK(contains(result.output, "1234"));
        CHECK_FALSE(contains(result.output, "4321"));
    }
    master.finish();
}

TEST_CASE("commands find the master from a file that no longer parses, and by --control") {
    MasterUnderTest master;
    master.write_config_text("[master]\nruntime_dir = \"run\"\nbroken = = =\n");
    CHECK(master.cli({"status"}).code() == 0);
    CHECK(drover({"status", "--control", master.control_path()}).code() == 0);
    const CommandResult refused = master.cli({"reload"});
    CHECK(refused.code() == 1);
    CHECK_MESSAGE(contains(refused.errors, "drover.toml:3"), refused.errors);
    CHECK(master.status().serving(2));
    master.finish();
}

TEST_CASE("reload, reopen, stop and quit do what the signals do") {
    {
        MasterUnderTest master;
        master.write_config({.body = "second"});
        CHECK(master.cli({"reload"}).code() == 0);
        CHECK(master.get() == "second");
        CHECK(master.cli({"reopen"}).code() == 0);
        CHECK(master.cli({"stop"}).code() == 0);
        master.wait_exit();
        master.verify_clean();
    }
    MasterUnderTest master;
    CHECK(master.cli({"quit"}).code() == 0);
    master.wait_exit();
    master.verify_clean();
}

}  // namespace drover::test
