// A new generation whose workers die after the reload: the master goes back by itself.
#include "tests/support/held_connections.h"
#include "tests/support/http_load.h"
#include "tests/support/trouble_program.h"

#include <doctest/doctest.h>

namespace drover::test {
namespace {

TestConfig config(const std::string& body, const std::string& trouble, const std::string& time = "10s") {
    return {.body = body,
            .modules = "\"http\", \"echo\", \"trouble\"",
            .master = "[master.probation]\ndeaths = 2\ntime = \"" + time + "\"\n",
            .pool = "respawn = { burst = 1000 }\n",
            .rest = "\n[module.trouble]\n" + trouble};
}

const std::string crash = "later = \"crash\"\nafter = \"300ms\"\n";

std::size_t count(const std::string& text, std::string_view part) {
    std::size_t times = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++times;
    return times;
}

// To the first generation.
void wait_back(MasterUnderTest& master) {
    master.wait_until("the way back", [&] {
        const StatusView view = master.status();
        return view.generation == 1 && view.state == "running";
    });
}

// The reload is taken at first, and then taken back.
void check_rolled_back(const std::vector<std::string>& reload) {
    MasterUnderTest master(config("first", ""), trouble_program);
    HttpLoad load(master.http_port());
    master.write_config(config("second", crash));
    const CommandResult verdict = master.cli(reload);
    CHECK(verdict.code() == 0);
    CHECK_MESSAGE(verdict.output.find("generation 2 serves, on probation for 10s") != std::string::npos,
                  verdict.output);
    CHECK(master.status().on_probation);
    wait_back(master);
    const StatusView view = master.status();
    CHECK(view.generation == 1);
    CHECK(view.last_reload->result == "rolled_back");
    CHECK(view.last_reload->generation == 2);
    CHECK_MESSAGE(
        view.last_reload->error.find(" of its workers died, the last: worker main/") != std::string::npos,
        view.last_reload->error);
    CHECK_FALSE(view.on_probation);
    master.wait_serving(2);
    CHECK(master.get() == "first");
    load.stop();
    CHECK(load.replies() > 0);
    // Each of the two clients had at most one request with each worker that died.
    CHECK_MESSAGE(load.failures() <= 2 * count(master.output(), "killed by signal 9"), load.first_failure());
    master.wait_output("going back to generation 1");
    master.wait_output("reload rolled back: generation 1 serves again");

    // Nothing is held against the next one.
    master.write_config(config("third", ""));
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(master.status().generation == 3);
    CHECK(master.get() == "third");
    master.finish();
}

}  // namespace

TEST_CASE("a hot reload whose workers crash later is rolled back in place") {
    check_rolled_back({"reload"});
}

TEST_CASE("a fresh reload whose workers crash later is rolled back") {
    check_rolled_back({"reload", "--fresh"});
}

TEST_CASE("reload --probation waits, and exits with 1 when the generation is rolled back") {
    MasterUnderTest master(config("first", ""), trouble_program);
    master.write_config(config("second", crash));
    const CommandResult verdict = master.cli({"reload", "--probation"});
    CHECK(verdict.code() == 1);
    CHECK_MESSAGE(verdict.errors.find("generation 2 was unfit") != std::string::npos, verdict.errors);
    wait_back(master);
    master.wait_serving(2);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("reload --probation waits, and exits with 0 when the generation has proved itself") {
    MasterUnderTest master(config("first", ""), trouble_program);
    master.write_config(config("second", "", "300ms"));
    const CommandResult verdict = master.cli({"reload", "--probation"});
    CHECK(verdict.code() == 0);
    CHECK(verdict.output == "generation 2 has passed its probation\n");
    CHECK_FALSE(master.status().on_probation);
    CHECK(master.get() == "second");
    // Deaths that come later are ordinary ones.
    for (int i = 0; i < 4; ++i) {
        const std::vector<pid_t> pids = master.worker_pids();
        kill(pids.front(), SIGKILL);
        master.wait_replaced({pids.front()});
    }
    CHECK(master.status().generation == 2);
    CHECK(master.get() == "second");
    master.finish();
}

TEST_CASE("a few deaths are forgiven") {
    MasterUnderTest master(config("first", ""), trouble_program);
    master.write_config(config("second", ""));
    CHECK(master.cli({"reload"}).code() == 0);
    for (int i = 0; i < 2; ++i) {
        const std::vector<pid_t> pids = master.worker_pids();
        kill(pids.front(), SIGKILL);
        master.wait_replaced({pids.front()});
    }
    const StatusView view = master.status();
    CHECK(view.generation == 2);
    CHECK(view.on_probation);
    CHECK(view.last_reload->result == "ok");
    master.finish();
}

TEST_CASE("with probation off nothing is taken back") {
    MasterUnderTest master(config("first", ""), trouble_program);
    master.write_config(config("second", crash, "off"));
    const CommandResult verdict = master.cli({"reload"});
    CHECK(verdict.output == "generation 2 serves\n");
    master.wait_until("a worker's second death", [&] { return master.status().workers.front().deaths >= 2; });
    const StatusView view = master.status();
    CHECK(view.generation == 2);
    CHECK_MESSAGE(view.workers.front().recent_deaths.front().find("SIGKILL") != std::string::npos,
                  view.workers.front().recent_deaths.front());
    master.finish();
}

TEST_CASE("workers that hang are as bad as workers that die") {
    TestConfig hanging = config("second", "later = \"hang\"\nafter = \"50ms\"\n", "2s");
    hanging.master = "[master.probation]\ndeaths = 1\ntime = \"2s\"\n";
    hanging.pool = "hang_timeout = \"1s\"\nreport_interval = \"100ms\"\n";
    TestConfig healthy = config("first", "");
    healthy.pool = hanging.pool;
    MasterUnderTest master(healthy, trouble_program);
    master.write_config(hanging);
    CHECK(master.cli({"reload"}).code() == 0);
    wait_back(master);
    const StatusView view = master.status();
    CHECK(view.last_reload->result == "rolled_back");
    CHECK(view.counters.at("drover_reloads_total{result=\"rolled_back\"}") == 1);
    CHECK(view.counters.at("drover_worker_deaths_total{cause=\"hang\"}") >= 2);
    master.wait_serving(2);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("a reload that comes while another generation is on probation takes its place") {
    MasterUnderTest master(config("first", ""), trouble_program);
    master.write_config(config("second", ""));
    Child waiting = Child::start({DROVER_PROGRAM, "reload", "--probation", "-c", master.config_path()});
    master.wait_until("the second generation", [&] { return master.status().generation == 2; });
    master.write_config(config("third", ""));
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(waiting.wait_exit().code == 0);
    CHECK(master.status().generation == 3);
    master.finish();
}

TEST_CASE("the way back leads past a generation that has not proved itself") {
    MasterUnderTest master(config("first", ""), trouble_program);
    master.write_config(config("second", crash));
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    CHECK(master.cli({"reload", "--fresh"}).code() == 0);
    wait_back(master);
    CHECK(master.status().last_reload->result == "rolled_back");
    master.wait_serving(2);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("a generation that fails while another reload is refused is taken back all the same") {
    MasterUnderTest master(config("first", ""), trouble_program);
    master.write_config(config("second", "later = \"crash\"\nafter = \"50ms\"\n"));
    CHECK(master.cli({"reload"}).code() == 0);
    // A config reader that hangs keeps the reload open while the workers die.
    master.write_config(config("third", "in_check = \"hang\"\n"));
    ControlCall call = master.start_control("reload");
    CHECK_FALSE(call.wait().ok);
    wait_back(master);
    master.wait_serving(2);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("a worker that is silent for ever does not keep a probation open for ever") {
    TestConfig silent = config("first", "", "300ms");
    silent.pool = "hang_timeout = \"off\"\nreport_interval = \"50ms\"\n";
    MasterUnderTest master(silent, trouble_program);
    silent.body = "second";
    master.write_config(silent);
    CHECK(master.cli({"reload"}).code() == 0);
    REQUIRE(freeze(master.worker_pids().front()));
    master.wait_until("the end of the probation", [&] { return !master.status().on_probation; });
    CHECK(master.status().generation == 2);
    master.finish();
}

}  // namespace drover::test
