#include "core/loop/run_clock.h"

#include <chrono>
#include <thread>

#include <doctest/doctest.h>

using namespace drover;
using namespace std::chrono_literals;

namespace {

struct Standing {
    EventLoop loop;
    RunClock clock{loop};
    int fired = 0;

    void on_time() { ++fired; }
    void turn_for(std::chrono::milliseconds time) {
        for (const std::int64_t end = loop.now_ms() + time.count(); loop.now_ms() < end;)
            loop.run_once(10ms);
    }
    // As if the process had been stopped.
    static void stand_still(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }
};

}  // namespace

TEST_CASE("the clock of a loop that turns is the time that passes") {
    Standing test;
    const std::int64_t before = test.loop.now_ms();
    const std::int64_t run = test.clock.now_ms();
    test.turn_for(1200ms);
    // A machine that is busy with others may stand still for a moment all the same.
    if (!test.clock.settled()) return;
    CHECK(test.clock.to_monotonic_ms(run) >= before);
    CHECK(test.clock.now_ms() - run >= 1200);
}

TEST_CASE(
    "a standstill is no time, makes nothing older, and lets no deadline pass before all could be read") {
    Standing test;
    RunTimer deadline(test.clock, Timer::Handler::to<&Standing::on_time>(&test));
    deadline.start_once(1500ms);
    const std::int64_t run = test.clock.now_ms();
    Standing::stand_still(3000ms);
    CHECK(test.clock.now_ms() - run <= 1000);
    CHECK_FALSE(test.clock.settled());
    test.loop.run_once(0ms);
    CHECK_FALSE(test.clock.settled());
    CHECK(test.fired == 0);
    CHECK(test.loop.now_ms() - test.clock.to_monotonic_ms(run) <= 1000);
    test.turn_for(100ms);
    CHECK(test.fired == 0);
    while (test.fired == 0)
        test.turn_for(10ms);
    CHECK(test.clock.now_ms() - run >= 1500);
    CHECK(test.clock.settled());
    CHECK_FALSE(deadline.started());
}

TEST_CASE("a loop that is late at each turn judges all the same, after some of them") {
    Standing test;
    RunTimer deadline(test.clock, Timer::Handler::to<&Standing::on_time>(&test));
    deadline.start_once(100ms);
    unsigned turns = 0;
    for (; test.fired == 0 && turns < 30; ++turns) {
        Standing::stand_still(RunClock::tick + RunClock::tolerance + 10ms);
        test.loop.run_once(0ms);
    }
    CHECK(test.fired == 1);
    CHECK(turns >= RunClock::most_unsettled_ticks);
    CHECK(test.clock.settled());
    test.turn_for(2 * RunClock::settle_time);
    Standing::stand_still(1000ms);
    CHECK_FALSE(test.clock.settled());
}
