#include "master/supervise/pacer.h"

#include "tests/support/run_until.h"

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("what is asked for many times is done at once, and once more at the end") {
    EventLoop loop;
    int done = 0;
    auto act = [&done] { ++done; };
    Pacer pacer(loop, std::chrono::milliseconds(20), Callback<void()>::of(&act));
    for (int i = 0; i < 1000; ++i)
        pacer.ask();
    CHECK(done == 1);
    CHECK(run_until(loop, [&] { return done == 2; }));
    for (int i = 0; i < 1000; ++i)
        pacer.ask();
    CHECK(done == 2);
    CHECK(run_until(loop, [&] { return done == 3; }));
}
