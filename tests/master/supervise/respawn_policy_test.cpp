#include "master/supervise/respawn_policy.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace std::chrono_literals;

namespace {

constexpr RespawnPolicy::Rule rule{.burst = 3, .first_delay = 100ms, .longest_delay = 1000ms};

}  // namespace

TEST_CASE("a worker that had served is replaced at once, however often") {
    RespawnPolicy policy(rule);
    for (int i = 0; i < 100; ++i)
        CHECK(policy.delay_after_death(1ms * i, 1s, 0) == 0ms);
}

TEST_CASE("early deaths are replaced at once up to the burst, then the delay doubles up to the bound") {
    RespawnPolicy policy(rule);
    for (int i = 0; i < 3; ++i)
        CHECK(policy.delay_after_death(0ms, 999ms, 0) == 0ms);
    CHECK(policy.delay_after_death(0ms, 0ms, 0) == 100ms);
    CHECK(policy.delay_after_death(0ms, 0ms, 0) == 200ms);
    CHECK(policy.delay_after_death(0ms, 0ms, 0) == 400ms);
    CHECK(policy.delay_after_death(0ms, 0ms, 0) == 800ms);
    for (int i = 0; i < 100; ++i)
        CHECK(policy.delay_after_death(0ms, 0ms, 0) == 1000ms);
}

TEST_CASE("the burst is counted a minute") {
    RespawnPolicy policy(rule);
    for (int i = 0; i < 3; ++i)
        CHECK(policy.delay_after_death(0s, 0ms, 0) == 0ms);
    CHECK(policy.delay_after_death(59s, 0ms, 0) == 100ms);
    for (int i = 0; i < 3; ++i)
        CHECK(policy.delay_after_death(60s, 0ms, 0) == 0ms);
    CHECK(policy.delay_after_death(60s, 0ms, 0) == 200ms);
}

TEST_CASE("a healthy minute ends the back-off; a shorter life does not") {
    RespawnPolicy policy(rule);
    for (int i = 0; i < 5; ++i)
        policy.delay_after_death(0ms, 0ms, 0);
    CHECK(policy.delay_after_death(1s, 59s, 0) == 0ms);
    CHECK(policy.delay_after_death(1s, 0ms, 0) == 400ms);
    CHECK(policy.delay_after_death(2s, 60s, 0) == 0ms);
    for (int i = 0; i < 3; ++i)
        CHECK(policy.delay_after_death(2s, 0ms, 0) == 0ms);
    CHECK(policy.delay_after_death(2s, 0ms, 0) == 100ms);
}

TEST_CASE("jitter takes up to a quarter off, and a burst of 0 always waits") {
    RespawnPolicy policy({.burst = 0, .first_delay = 1000ms, .longest_delay = 1000ms});
    CHECK(policy.delay_after_death(0ms, 0ms, 0) == 1000ms);
    CHECK(policy.delay_after_death(0ms, 0ms, 0.5) == 875ms);
    CHECK(policy.delay_after_death(0ms, 0ms, 0.999) > 750ms);
}

TEST_CASE("a shortage is tried again soon, then once a second, and its end begins anew") {
    RespawnPolicy policy({.burst = 5, .first_delay = 100ms, .longest_delay = 10min});
    CHECK(policy.delay_after_shortage() == 100ms);
    CHECK(policy.delay_after_shortage() == 200ms);
    for (int i = 0; i < 100; ++i)
        policy.delay_after_shortage();
    CHECK(policy.delay_after_shortage() == 1s);
    policy.end_shortage();
    CHECK(policy.shortages() == 0);
    CHECK(policy.delay_after_shortage() == 100ms);
    RespawnPolicy eager({.burst = 0, .first_delay = 0ms, .longest_delay = 0ms});
    CHECK(eager.delay_after_shortage() == 10ms);
}
