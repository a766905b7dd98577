// Workers that an attacker has taken over: what they do reaches no other process.
#include "tests/support/counter_watch.h"
#include "tests/support/observed_service.h"
#include "tests/support/proc.h"

#include <csignal>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover::test {
namespace {

// One pool of two good workers, one of two hostile ones, and an observer. As root the workers are nobody's.
struct BesiegedService {
    explicit BesiegedService(std::string attacks_at_start = {})
        : in_start(std::move(attacks_at_start)),
          master(config("first"), {.program = DROVER_TROUBLE_PROGRAM, .prepare = [](MasterUnderTest& self) {
                                       REQUIRE(::chmod(self.folder().path().c_str(), 0755) == 0);
                                   }}) {}

    TestConfig config(const std::string& body, const std::string& more_of_master = {}) const {
        return {.body = body,
                .master = (::geteuid() == 0 ? "user = \"nobody\"\n" : "") + more_of_master,
                .pool = "report_interval = \"20ms\"\n",
                .rest =
                    "\n[pool.bad]\nworkers = 2\nmodules = [\"hostile\"]\n"
                    "respawn = { delay = \"10ms\", burst = 1000 }\n"
                    "[[pool.bad.listen]]\naddress = \"" +
                    hostile_port.address() + "\"\nmodule = \"hostile\"\n[module.hostile]\nin_start = \"" +
                    in_start + "\"\n[observer]\nlisten = \"" + observer_port.address() + "\"\n"};
    }
    std::vector<WorkerView> workers_of(std::string_view pool) const {
        std::vector<WorkerView> workers = master.status().workers;
        std::erase_if(workers, [pool](const WorkerView& worker) { return worker.pool != pool; });
        return workers;
    }
    std::uint64_t accepted_by_good() const {
        std::uint64_t accepted = 0;
        for (const WorkerView& worker : workers_of("main"))
            accepted += worker.accepted;
        return accepted;
    }

    std::string in_start;
    ReservedPort hostile_port;
    ReservedPort observer_port;
    MasterUnderTest master;
};

}  // namespace

TEST_CASE("a hostile worker gets at no memory of the counters but its own row") {
    BesiegedService service;
    StreamClient hostile = StreamClient::connect_tcp(service.hostile_port.number());
    hostile.send("walls\n");
    const std::string breaches = hostile.read_until("done\n", Deadline(std::chrono::seconds(60)));
    // A worker of the master's own user may open what the master may.
    if (::geteuid() == 0) CHECK(breaches == "done\n");
    CHECK(breaches.find("table") == std::string::npos);
    CHECK(breaches.find("remap") == std::string::npos);
    CHECK(service.master.get() == "first");
    CHECK(service.accepted_by_good() == 1);
    service.master.finish();
}

TEST_CASE("a hostile worker that says more of log files than it was sent is killed") {
    BesiegedService service;
    MasterUnderTest& master = service.master;
    StreamClient hostile = StreamClient::connect_tcp(service.hostile_port.number());
    hostile.send("log files\n");
    master.wait_until("the event of its end", [&] {
        return master.cli({"events"})
                   .output.find("it says that it has taken log files that it was not sent: killed") !=
               std::string::npos;
    });
    CHECK(master.control("reopen").ok);
    CHECK(master.get() == "first");
    master.finish();
}

TEST_CASE("random bytes and holes in hostile rows: master and readers live, and report the others rightly") {
    const TemporaryFolder folder;
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    const std::string while_there = folder.file("go-on");
    write_file(while_there, "");
    BesiegedService service("leave " + while_there + ";scribble");
    MasterUnderTest& master = service.master;
    ReaderProcess reader(master, 1, ReaderProcess::Expects::anything);
    const CounterReader counters = reader_of(master);
    for (int round = 0; round < 8; ++round) {
        CAPTURE(round);
        const std::string body = "round " + std::to_string(round);
        master.write_config(service.config(body, round % 2 == 0 ? "reload = \"fresh\"\n" : ""));
        REQUIRE(master.control("reload").ok);
        const std::uint64_t generation = master.status().generation;
        const std::uint64_t before = service.accepted_by_good();
        for (int i = 0; i < 10; ++i)
            CHECK(master.get() == body);

        // A death is a fold, and its successor's row is new to every reader.
        const std::vector<WorkerView> bad = service.workers_of("bad");
        REQUIRE(bad.size() >= 2);
        ::kill(bad.front().pid, SIGKILL);
        master.wait_replaced({bad.front().pid});

        CHECK(service.accepted_by_good() == before + 10);
        const CommandResult top = master.cli({"top", "--once"});
        CHECK(top.code() == 0);
        CHECK_MESSAGE(top.output.find("main/0") != std::string::npos, top.output);
        CHECK(master.cli({"status"}).code() == 0);
        const HttpReply metrics = http_get(service.observer_port.number(), "/metrics");
        CHECK(metrics.status == 200);
        for (const char* slot : {"0", "1"}) {
            const std::string sample = "\ndrover_worker_generation{pool=\"main\",slot=\"" +
                                       std::string(slot) + "\"} " + std::to_string(generation) + "\n";
            CHECK_MESSAGE(metrics.body.find(sample) != std::string::npos, metrics.body);
        }
        CHECK(http_get(service.observer_port.number(), "/status.json").status == 200);
        CHECK(http_get(master.http_port(), "/status").status == 200);
        for (const CounterReader::WorkerValue& worker : counters.each_worker("drover_worker_generation"))
            if (worker.pool == "main") CHECK(worker.value == static_cast<std::int64_t>(generation));
    }
    CHECK(reader.finish() == "");
    REQUIRE(::unlink(while_there.c_str()) == 0);
    master.signal(SIGTERM);
    master.wait_exit(Deadline(std::chrono::seconds(20)));
    CHECK(master.wait_orphans());
    master.verify_clean();
}

TEST_CASE("a reader with few descriptors sees every worker") {
    MasterUnderTest master({.workers = 150, .pool = "report_interval = \"1s\"\n"});
    ChildOptions few;
    few.before_exec = [] {
        const rlimit limit{.rlim_cur = 80, .rlim_max = 80};
        ::setrlimit(RLIMIT_NOFILE, &limit);
    };
    const CommandResult top = master.cli({"top", "--once"}, few);
    CHECK_MESSAGE(top.code() == 0, top.output);
    const CounterReader counters = reader_of(master);
    CHECK(counters.each_worker("drover_worker_generation").size() == 150);
    master.finish();
}

}  // namespace drover::test
