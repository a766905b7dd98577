#include "core/counters/counter.h"

#include "core/process/process.h"
#include "tests/core/counters/counter_fixture.h"

#include <csignal>
#include <thread>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace drover;
using drover::test::CountingThread;

TEST_CASE("counter: adds to its cell") {
    const CountingThread thread;
    std::uint64_t cell = 40;
    Counter counter(&cell);
    counter.add();
    counter.add(7);
    CHECK(cell == 48);
    CHECK(counter.value() == 48);
}

TEST_CASE("counter: a gauge goes up, down and below zero") {
    const CountingThread thread;
    std::uint64_t cell = 0;
    Gauge gauge(&cell);
    gauge.add(3);
    gauge.add(-5);
    CHECK(gauge.value() == -2);
    gauge.set(9);
    CHECK(gauge.value() == 9);
    CHECK(cell == 9);
}

TEST_CASE("counter: a default-constructed one counts where nobody reads, on any thread") {
    std::thread([] {
        REQUIRE(!detail::counting_thread);
        Counter counter;
        Gauge gauge;
        counter.add(5);
        gauge.set(5);
        gauge.add(1);
        CHECK(counter.value() == 0);
        CHECK(gauge.value() == 0);
    }).join();
}

#ifndef NDEBUG
TEST_CASE("counter: another thread that counts is stopped in debug builds") {
    const Process child = spawn({}, [] {
        const rlimit no_core{};
        ::setrlimit(RLIMIT_CORE, &no_core);
        std::fclose(stderr);
        const CountingThread thread;
        std::uint64_t cell = 0;
        std::thread([&cell] { Counter(&cell).add(); }).join();
        return 0;
    });
    int status = 0;
    REQUIRE(::waitpid(child.pid(), &status, 0) == child.pid());
    const bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    const bool reported_by_sanitizer = WIFEXITED(status) && WEXITSTATUS(status) != 0;
    CHECK((aborted || reported_by_sanitizer));
}
#endif
