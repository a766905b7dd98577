#include "master/service_notifier.h"

#include "core/base/system_error.h"
#include "tests/support/temporary_folder.h"

#include <string>

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

using namespace drover;

namespace {

// The service manager's end.
struct Manager {
    explicit Manager(const std::string& name)
        : socket(check_call(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")) {
        const Address address = Address::parse("unix:" + name);
        check_call(::bind(socket.get(), address.data(), address.size()), "bind", name);
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    }
    ~Manager() {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
            ::unsetenv(name);
    }
    // The next message, "" when there is none.
    std::string take() const {
        char buffer[4096];
        const ssize_t size = ::recv(socket.get(), buffer, sizeof buffer, 0);
        return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
    }
    UniqueFd socket;
};

std::int64_t monotonic_us() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

TEST_CASE("without NOTIFY_SOCKET nothing happens") {
    ::setenv("WATCHDOG_USEC", "1000000", 1);
    const ServiceNotifier notifier;
    CHECK_FALSE(notifier.enabled());
    CHECK(notifier.watchdog_interval().count() == 0);
    CHECK(::getenv("WATCHDOG_USEC") == nullptr);
    notifier.ready("x");
    notifier.watchdog();
}

TEST_CASE("every message, by path and by abstract name") {
    test::TemporaryFolder folder;
    for (const std::string& name :
         {folder.file("notify"), "@drover-notify-test-" + std::to_string(::getpid())}) {
        const Manager manager(name);
        const ServiceNotifier notifier;
        REQUIRE(notifier.enabled());
        CHECK(::getenv("NOTIFY_SOCKET") == nullptr);

        notifier.ready("4 workers\nEVIL=1");
        CHECK(manager.take() ==
              "READY=1\nMAINPID=" + std::to_string(::getpid()) + "\nSTATUS=4 workers EVIL=1");
        notifier.stopping();
        CHECK(manager.take() == "STOPPING=1");
        notifier.status("2 of 4 drain");
        CHECK(manager.take() == "STATUS=2 of 4 drain");
        notifier.watchdog();
        CHECK(manager.take() == "WATCHDOG=1");
        CHECK(manager.take().empty());
    }
}

TEST_CASE("reloading tells the time in the same message") {
    test::TemporaryFolder folder;
    const Manager manager(folder.file("notify"));
    const ServiceNotifier notifier;
    const std::int64_t before = monotonic_us();
    notifier.reloading();
    const std::int64_t after = monotonic_us();
    const std::string message = manager.take();
    const std::string head = "RELOADING=1\nMONOTONIC_USEC=";
    REQUIRE(message.starts_with(head));
    const std::int64_t told = std::stoll(message.substr(head.size()));
    CHECK(told >= before);
    CHECK(told <= after);
}

TEST_CASE("the watchdog's interval is half of what was set, for us alone") {
    test::TemporaryFolder folder;
    const Manager manager(folder.file("notify"));
    const auto interval = [&](const char* period_us, const std::string& pid) {
        ::setenv("NOTIFY_SOCKET", folder.file("notify").c_str(), 1);
        ::setenv("WATCHDOG_USEC", period_us, 1);
        if (!pid.empty()) ::setenv("WATCHDOG_PID", pid.c_str(), 1);
        const auto result = ServiceNotifier().watchdog_interval().count();
        CHECK(::getenv("WATCHDOG_PID") == nullptr);
        return result;
    };
    CHECK(interval("30000000", "") == 15'000);
    CHECK(interval("30000000", std::to_string(::getpid())) == 15'000);
    CHECK(interval("30000000", std::to_string(::getpid() + 1)) == 0);
    CHECK(interval("30000000", "x") == 0);
    CHECK(interval("1", "") == 1);
    for (const char* wrong : {"0", "-1", "", "1s", "99999999999999999999"})
        CHECK(interval(wrong, "") == 0);
}

TEST_CASE("nobody listening, a full queue and an odd name hurt nobody") {
    test::TemporaryFolder folder;
    for (const std::string& name : {folder.file("nobody"), std::string("vsock:2:1"), std::string("relative"),
                                    std::string(), std::string(200, '/')}) {
        ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
        const ServiceNotifier notifier;
        notifier.ready("x");
    }
    const Manager manager(folder.file("notify"));
    const ServiceNotifier notifier;
    for (int i = 0; i < 10'000; ++i)
        notifier.status("never blocks");
    CHECK(manager.take() == "STATUS=never blocks");
    while (!manager.take().empty()) {
    }
    notifier.status(std::string(100'000, 'x'));
    CHECK(manager.take() == "STATUS=" + std::string(ServiceNotifier::max_status, 'x'));
}
