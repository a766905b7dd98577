// What a worker may use: memory, descriptors, processors, priority; and how many must be healthy.
#include "core/base/build_info.h"
#include "tests/support/proc.h"
#include "tests/support/trouble_program.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <sys/resource.h>

namespace drover::test {
namespace {

struct HungryMaster {
    ReservedPort port;
    MasterUnderTest master;

    explicit HungryMaster(const std::string& pool)
        : master({.workers = 1,
                  .modules = "\"http\", \"echo\", \"trouble\"",
                  .pool = "report_interval = \"50ms\"\n" + pool,
                  .rest =
                      "\n[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"trouble\"\n"},
                 trouble_program) {}

    void eat(unsigned mib) const {
        StreamClient client = StreamClient::connect_tcp(port.number());
        client.send("eat " + std::to_string(mib) + "\n");
        client.read_until("ok\n");
    }
};

}  // namespace

TEST_CASE("a worker with much memory is recycled in peace") {
    if (sanitizers) return;  // their shadow memory counts, too
    HungryMaster hungry("recycle = { memory = \"64M\" }\n");
    MasterUnderTest& master = hungry.master;
    HttpClient idle(master.http_port());
    CHECK(idle.get().body == "first");
    const pid_t before = master.worker_pids().front();
    hungry.eat(80);
    master.wait_until("another one", [&] { return master.worker_pids() != std::vector{before}; });
    master.wait_serving(1);
    CHECK(idle.get().body == "first");
    const StatusView view = master.status();
    CHECK(view.workers.front().deaths == 0);
    CHECK(view.workers.front().restarts == 1);
    master.wait_output("is being replaced: it has ");
    master.finish();
}

TEST_CASE("a worker above memory_limit is killed, and the reason stands in the status") {
    if (sanitizers) return;
    HungryMaster hungry("memory_limit = \"64M\"\n");
    MasterUnderTest& master = hungry.master;
    const pid_t before = master.worker_pids().front();
    // It does not report any more: the master has to look by itself.
    StreamClient client = StreamClient::connect_tcp(hungry.port.number());
    client.send("eat 200\nhang\n");
    master.wait_until("another one", [&] {
        const std::vector<pid_t> pids = master.worker_pids();
        return std::find(pids.begin(), pids.end(), before) == pids.end();
    });
    master.wait_serving(1);
    CHECK(master.get() == "first");
    const StatusView view = master.status();
    REQUIRE(view.workers.front().recent_deaths.size() == 1);
    CHECK(view.workers.front().recent_deaths.front() == "killed by signal 9 (SIGKILL) (above memory_limit)");
    CHECK(view.counters.at("drover_worker_deaths_total{cause=\"memory_limit\"}") == 1);
    master.finish();
}

TEST_CASE("descriptors, core, priority and processor of a worker are as configured") {
    MasterUnderTest master({.workers = 1,
                            .pool = "open_files_limit = 300\ncore_limit = \"1M\"\nnice = 3\n"
                                    "cpu_affinity = \"auto\"\n"});
    const pid_t worker = master.worker_pids().front();
    rlimit limit{};
    REQUIRE(::prlimit(worker, RLIMIT_NOFILE, nullptr, &limit) == 0);
    CHECK(limit.rlim_cur == 300);
    REQUIRE(::prlimit(worker, RLIMIT_CORE, nullptr, &limit) == 0);
    CHECK(limit.rlim_cur == 1024 * 1024);
    CHECK(::getpriority(PRIO_PROCESS, static_cast<id_t>(worker)) == 3);
    const std::string processors = status_field_of(worker, "Cpus_allowed_list");
    CHECK_MESSAGE(processors.find_first_of(",-") == std::string::npos, processors);
    master.finish();
}

TEST_CASE("a limit that cannot be had is a refused reload, which names it") {
    MasterUnderTest master;
    master.write_config({.pool = "cpu_affinity = \"1023\"\n"});
    const CommandResult result = master.cli({"reload"});
    CHECK(result.code() == 1);
    CHECK_MESSAGE(result.errors.find("pool.main.cpu_affinity = 1023 cannot be had") != std::string::npos,
                  result.errors);
    CHECK(master.get() == "first");
    CHECK(master.status().generation == 1);
    master.finish();
}

TEST_CASE("with fewer healthy workers than the minimum the service is degraded") {
    MasterUnderTest master(
        {.pool = "min_healthy = 2\nrespawn = { burst = 0, delay = \"1m\", max_delay = \"1m\" }\n"});
    CHECK(master.status().state == "running");
    const pid_t victim = master.worker_pids().front();
    kill(victim, SIGKILL);
    master.wait_until("the slot to back off", [&] { return master.status().state == "degraded"; });
    const StatusView view = master.status();
    CHECK(view.workers.front().state == "backing_off");
    CHECK(view.workers.front().deaths == 1);
    CHECK_MESSAGE(view.workers.front().recent_deaths.front().find("SIGKILL") != std::string::npos,
                  view.workers.front().recent_deaths.front());
    CHECK(master.get() == "first");
    // An operator need not wait.
    CHECK(master.cli({"worker", "restart", "main/0"}).code() == 0);
    CHECK(master.status().state == "running");
    master.finish();
}

}  // namespace drover::test
