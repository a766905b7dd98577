// Counters whose labels depend on the configuration, in workers that stay.
#include "tests/support/counter_watch.h"
#include "tests/support/http_client.h"
#include "tests/support/trouble_program.h"

#include <csignal>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

using Sum = CounterReader::Sum;

struct Tally {
    ReservedPort port;
    TestConfig config(const std::string& names, const std::string& master = "") const {
        return {.modules = "\"http\", \"echo\", \"tally\"",
                .master = master,
                .pool = "report_interval = \"10ms\"\n",
                .rest = "[[pool.main.listen]]\naddress = \"" + port.address() +
                        "\"\nmodule = \"tally\"\n[module.tally]\nnames = [" + names + "]\n"};
    }
    std::string count(const std::string& name, unsigned number = 7) const {
        StreamClient client = StreamClient::connect_tcp(port.number());
        client.send(name + " " + std::to_string(number) + "\n");
        return client.read_until("\n");
    }
};

}  // namespace

TEST_CASE("labels come and go with hot reloads, in workers that stay; what comes back goes on") {
    const Tally tally;
    MasterUnderTest master(tally.config("\"a\", \"b\""), trouble_program);
    const CounterReader reader = reader_of(master);
    const std::vector<pid_t> workers = master.worker_pids();
    ReaderProcess reader_process(master, 100);
    CHECK(tally.count("a") == "ok\n");
    CHECK(tally.count("a") == "ok\n");
    CHECK(tally.count("b", 5000) == "ok\n");
    CHECK(tally.count("c") == "unknown\n");
    CHECK(value(reader, "tally_lines_total{name=\"a\"}") == 2);
    CHECK(value(reader, "tally_value_seconds{name=\"b\"}") == 1);

    master.write_config(tally.config("\"c\", \"b\""));
    REQUIRE(master.control("reload").ok);
    CHECK(tally.count("a") == "unknown\n");
    CHECK(tally.count("c") == "ok\n");
    CHECK(tally.count("b", 5000) == "ok\n");
    CHECK(value(reader, "tally_lines_total{name=\"a\"}") == 0);
    CHECK(reader.sum("tally_lines_total") == 3);
    CHECK(reader.sum("tally_value_seconds") == 3);
    CHECK(master.worker_pids() == workers);

    for (const pid_t pid : workers)
        ::kill(pid, SIGKILL);
    master.wait_replaced(workers);
    master.write_config(tally.config("\"a\", \"b\""));
    REQUIRE(master.control("reload").ok);
    CHECK(tally.count("a") == "ok\n");
    CHECK(value(reader, "tally_lines_total{name=\"a\"}") == 3);
    CHECK(value(reader, "tally_lines_total{name=\"b\"}") == 2);
    for (const Sum& sum : reader.sums()) {
        if (sum.text() != "tally_value_seconds{name=\"b\"}") continue;
        CHECK(sum.sum == 10'000);
        CHECK(sum.quantile(0.5) == doctest::Approx(5000).epsilon(0.06));
    }
    CHECK(reader_process.finish() == "");
    master.finish();
}

TEST_CASE("cells of labels that are gone are used again by running workers, as often as one likes") {
    const Tally tally;
    MasterUnderTest master(tally.config("\"round 0\"", "counters = 1298\n"), trouble_program);
    const CounterReader reader = reader_of(master);
    const std::vector<pid_t> workers = master.worker_pids();
    ReaderProcess reader_process(master, 100);
    // One name takes 147 cells: 1298 have room for three at a time.
    for (int round = 0; round < 20; ++round) {
        const std::string name = "round " + std::to_string(round);
        const std::string text = "tally_lines_total{name=\"" + name + "\"}";
        master.write_config(tally.config("\"" + name + "\"", "counters = 1298\n"));
        // A worker says with a report that it has let go of what was.
        std::string refused;
        master.wait_until("the reload", [&] {
            refused = master.control("reload").text;
            return master.status().last_reload->result == "ok";
        });
        CAPTURE(refused);
        CHECK(value(reader, text) == 0);
        CHECK(tally.count(name.substr(0, 5)) == "unknown\n");
    }
    CHECK(master.worker_pids() == workers);
    CHECK(reader_process.finish() == "");
    master.finish();
}

TEST_CASE("cells that a request of a withdrawn generation counts in are not used again before it has ended") {
    const Tally tally;
    const auto config = [&tally](const std::string& names) {
        return tally.config(names, "counters = 1298\n[master.probation]\ndeaths = 1\ntime = \"60s\"\n");
    };
    MasterUnderTest master(config("\"a\""), trouble_program);
    const CounterReader reader = reader_of(master);
    master.write_config(config("\"a\", \"b\""));
    REQUIRE(master.control("reload").ok);
    StreamClient slow = StreamClient::connect_tcp(tally.port.number());
    const auto say = [&slow](const std::string& line) {
        slow.send(line + "\n");
        return slow.read_until("\n");
    };
    REQUIRE(say("hold") == "ok\n");
    // The worker that has it stays, others die until the generation is withdrawn.
    while (master.status().generation == 2) {
        std::vector<WorkerView> workers = master.status().workers;
        std::erase_if(workers,
                      [](const WorkerView& worker) { return worker.connections > 0 || worker.pid == 0; });
        if (workers.empty()) continue;
        ::kill(workers.front().pid, SIGKILL);
        master.wait_until("its end", [&] { return ::kill(workers.front().pid, 0) != 0; });
    }
    master.wait_serving(2);
    CHECK(master.status().generation == 1);

    // Room for three names: the last would get the cells of "b".
    master.write_config(config("\"a\", \"c\", \"d\""));
    const ControlReply refused = master.control("reload");
    CHECK_FALSE(refused.ok);
    CHECK_MESSAGE(refused.text.find("no room for") != std::string::npos, refused.text);
    CHECK(say("b 9") == "ok\n");
    CHECK(reader.sum("tally_lines_total") == 0);
    slow.finish_sending();
    CHECK(slow.ended());
    master.wait_until("room", [&] {
        (void)master.control("reload");
        return master.status().last_reload->result == "ok";
    });
    for (const char* name : {"a", "c", "d"})
        CHECK(value(reader, "tally_lines_total{name=\"" + std::string(name) + "\"}") == 0);
    CHECK(tally.count("d") == "ok\n");
    CHECK(value(reader, "tally_lines_total{name=\"d\"}") == 1);
    master.finish();
}

TEST_CASE("more counters than there is room for are refused, by name, and change nothing") {
    const Tally tally;
    MasterUnderTest master(tally.config("\"a\"", "counters = 1298\n"), trouble_program);
    master.write_config(tally.config("\"a\", \"b\", \"c\", \"d\"", "counters = 1298\n"));
    const ControlReply reload = master.control("reload");
    CHECK_FALSE(reload.ok);
    CHECK(reload.text.find("module.tally: histogram \"tally_value_seconds{name=") != std::string::npos);
    CHECK(reload.text.find("of 1298 cells (master.counters)") != std::string::npos);
    // Each fits, but not both while the reload is under way.
    master.write_config(tally.config("\"x\", \"y\", \"z\"", "counters = 1298\n"));
    const ControlReply both = master.control("reload");
    CHECK_FALSE(both.ok);
    CHECK(both.text.find("no room for histogram tally_value_seconds{name=\"z\"} of module.tally") !=
          std::string::npos);
    CHECK(tally.count("a") == "ok\n");
    CHECK(master.status().serving(2));
    CHECK(value(reader_of(master), "drover_reloads_total{result=\"refused\"}") == 2);
    master.finish();
}

}  // namespace drover::test
