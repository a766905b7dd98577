#include "worker/load_meter.h"

#include "core/base/unique_fd.h"
#include "tests/support/run_until.h"

#include <ctime>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>

using namespace drover;

TEST_CASE("memory and CPU time are this process's own") {
    EventLoop loop;
    const LoadMeter meter(loop);
    CHECK(meter.resident_bytes() > 100'000);
    const std::uint64_t before = LoadMeter::cpu_us();
    const std::clock_t end = std::clock() + CLOCKS_PER_SEC / 20;
    while (std::clock() < end) {
    }
    CHECK(LoadMeter::cpu_us() > before);
}

TEST_CASE("a callback that keeps the loop shows as lag") {
    EventLoop loop;
    LoadMeter meter(loop);
    const auto end =
        std::chrono::steady_clock::now() + LoadMeter::probe_interval + std::chrono::milliseconds(100);
    while (std::chrono::steady_clock::now() < end) {
    }
    loop.run_once(std::chrono::milliseconds(0));
    CHECK(meter.take_largest_lag_us() >= 90'000);
}

TEST_CASE("descriptors that are open are counted") {
    const std::uint64_t before = LoadMeter::open_descriptors();
    CHECK(before >= 3);
    std::vector<UniqueFd> more;
    for (int i = 0; i < 200; ++i)
        more.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK(LoadMeter::open_descriptors() == before + 200);
}
