#include "master/respawn_policy.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace std::chrono_literals;

TEST_CASE("a worker that had served is replaced at once") {
    RespawnPolicy policy(100ms);
    CHECK(policy.delay_after_death(1s) == 0ms);
    CHECK(policy.delay_after_death(1h) == 0ms);
}

TEST_CASE("early deaths in a row double the delay up to the bound") {
    RespawnPolicy policy(100ms);
    CHECK(policy.delay_after_death(0ms) == 100ms);
    CHECK(policy.delay_after_death(999ms) == 200ms);
    CHECK(policy.delay_after_death(0ms) == 400ms);
    for (int i = 0; i < 100; ++i)
        CHECK(policy.delay_after_death(0ms) <= RespawnPolicy::longest_delay);
    CHECK(policy.delay_after_death(0ms) == RespawnPolicy::longest_delay);
}

TEST_CASE("a long life forgives the early deaths before it") {
    RespawnPolicy policy(100ms);
    policy.delay_after_death(0ms);
    policy.delay_after_death(0ms);
    CHECK(policy.delay_after_death(1s) == 0ms);
    CHECK(policy.delay_after_death(0ms) == 100ms);
}

TEST_CASE("a first delay of 0 never waits") {
    RespawnPolicy policy(0ms);
    for (int i = 0; i < 20; ++i)
        CHECK(policy.delay_after_death(0ms) == 0ms);
}
