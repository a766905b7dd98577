// A master is the same after many reloads.
#include "master/event_log.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <doctest/doctest.h>

namespace drover::test {
namespace {

void reload_times(MasterUnderTest& master, int times, const std::string& extra, const std::string& keys) {
    for (int i = 0; i < times; ++i) {
        const std::string body = i % 2 == 0 ? "even" : "odd";
        master.write_config({.body = body, .master = keys, .rest = i % 2 == 0 ? extra : ""});
        const ControlReply reply = master.control("reload");
        REQUIRE_MESSAGE(reply.ok, reply.text);
    }
    master.wait_serving(2);
    master.wait_until("no process but the workers", [&] { return children_of(master.pid()).size() == 2; });
}

}  // namespace

TEST_CASE("descriptors and memory of the master are the same after 200 reloads") {
    std::string keys;
    SUBCASE("hot") {}
    SUBCASE("fresh") {
        keys = "reload = \"fresh\"\n";
    }
    MasterUnderTest master({.master = keys});
    const ReservedPort other;
    const std::string extra =
        "\n[[pool.main.listen]]\naddress = \"" + other.address() + "\"\nmodule = \"http\"\n";
    make_events(master.control_path(), EventLog::capacity);  // as many as it keeps
    reload_times(master, 20, extra, keys);
    const std::size_t fds = count_fds_of(master.pid());
    const std::size_t pss_kb = pss_kb_of(master.pid());
    const std::size_t folder_fds = count_fds_of(master.worker_pids().front());
    reload_times(master, 200, extra, keys);
    CHECK(count_fds_of(master.pid()) == fds);
    CHECK(count_fds_of(master.worker_pids().front()) == folder_fds);
    // AddressSanitizer keeps freed memory for a while. Without it: less than a page for every five reloads,
    // which is how much of the heap happens to be shared with the workers forked last.
    if (!sanitizers) CHECK(pss_kb_of(master.pid()) <= pss_kb + 160);
    MESSAGE("descriptors " << fds << ", PSS " << pss_kb << " kB before, " << pss_kb_of(master.pid())
                           << " kB after");
    master.finish();
}

TEST_CASE("descriptors are the same after 100 refused reloads and 100 deaths") {
    MasterUnderTest master({.pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    const std::string good = master.config_text({.pool = "respawn = { delay = \"10ms\", burst = 1000 }\n"});
    const std::size_t fds = count_fds_of(master.pid());
    for (int i = 0; i < 100; ++i) {
        master.write_config_text(good + "\n[spelling]\n");
        CHECK_FALSE(master.control("reload").ok);
        const std::vector<pid_t> pids = master.worker_pids();
        REQUIRE_FALSE(pids.empty());
        kill(pids.front(), SIGKILL);
        master.wait_replaced({pids.front()});
    }
    CHECK(count_fds_of(master.pid()) == fds);
    master.finish();
}

}  // namespace drover::test
