// What a service manager is told, and when: sd_notify(3).
#include "tests/support/master_under_test.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <unistd.h>

namespace drover::test {
namespace {

bool has(const std::string& message, std::string_view assignment) {
    return ("\n" + message).find("\n" + std::string(assignment)) != std::string::npos;
}

// Where the first message from `start` on stands that has this line; the number of messages when there is
// none.
std::size_t find_message(const NotifySocket& notify, std::string_view assignment, std::size_t start = 0) {
    const auto& messages = notify.messages();
    const auto found = std::find_if(messages.begin() + static_cast<std::ptrdiff_t>(start), messages.end(),
                                    [&](const std::string& message) { return has(message, assignment); });
    return static_cast<std::size_t>(found - messages.begin());
}

}  // namespace

TEST_CASE("READY, RELOADING, READY, STOPPING, in this order") {
    MasterUnderTest master;
    NotifySocket& notify = master.notify();
    const std::size_t ready = find_message(notify, "READY=1");
    REQUIRE(ready < notify.messages().size());
    CHECK(has(notify.messages()[ready], "MAINPID=" + std::to_string(master.pid())));
    CHECK(has(notify.messages()[ready], "STATUS="));

    master.write_config({.body = "second"});
    master.reload_by_signal();
    const std::size_t reloading = find_message(notify, "RELOADING=1", ready + 1);
    REQUIRE(reloading < notify.messages().size());
    CHECK(has(notify.messages()[reloading], "MONOTONIC_USEC="));
    const std::size_t again = find_message(notify, "READY=1", reloading + 1);
    REQUIRE(again < notify.messages().size());

    master.signal(SIGTERM);
    master.wait_exit();
    notify.drain();
    CHECK(find_message(notify, "STOPPING=1", again + 1) < notify.messages().size());
    CHECK(notify.count("STOPPING=1") == 1);
    CHECK(notify.count("WATCHDOG=1") == 0);
    master.verify_clean();
}

TEST_CASE("a refused reload also ends with READY") {
    MasterUnderTest master;
    master.write_config_text("not toml at all");
    const StatusView view = master.reload_by_signal();
    CHECK(view.state == "running");
    CHECK(master.notify().count("RELOADING=1") == 1);
    master.finish();
}

TEST_CASE("WATCHDOG is sent as often as it is asked for") {
    MasterUnderTest master({}, {.environment = {"WATCHDOG_USEC=200000"}});
    master.wait_until("three signs of life", [&] { return master.notify().count("WATCHDOG=1") >= 3; });
    master.finish();
}

TEST_CASE("a watchdog of another pid is not ours") {
    MasterUnderTest master({}, {.environment = {"WATCHDOG_USEC=20000", "WATCHDOG_PID=1"}});
    master.write_config({.body = "second"});
    master.reload_by_signal();
    CHECK(master.notify().count("WATCHDOG=1") == 0);
    master.finish();
}

TEST_CASE("a failed start says nothing of READY") {
    MasterUnderTest master({}, {.wait_ready = false, .prepare = [](MasterUnderTest& self) {
                                    self.write_config_text("[pool.main]\nworkers = 0\n");
                                }});
    CHECK(master.wait_exit() == Exit{78, 0});
    master.notify().drain();
    CHECK(master.notify().count("READY=1") == 0);
    master.verify_clean({78, 0});
}

}  // namespace drover::test
