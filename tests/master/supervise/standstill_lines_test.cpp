#include "master/supervise/standstill_lines.h"

#include <doctest/doctest.h>

using drover::StandstillLines;

TEST_CASE("of a worker that stops and goes on all the time a line of each is told in ten seconds") {
    StandstillLines lines;
    CHECK(lines.tell(true, 100) == 0);
    CHECK(lines.tell(false, 101) == 0);
    for (int i = 0; i < 500; ++i) {
        CHECK_FALSE(lines.tell(true, 102));
        CHECK_FALSE(lines.tell(false, 103));
    }
    CHECK_FALSE(lines.tell(true, 99 + StandstillLines::interval_ms));
    CHECK(lines.tell(false, 101 + StandstillLines::interval_ms) == 1001);
    CHECK(lines.tell(true, 102 + StandstillLines::interval_ms) == 0);
}
