#include "master/reload/probation.h"

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("as many deaths as are forgiven leave a generation on probation, one more is too many") {
    Probation probation(4, 2);
    CHECK(probation.generation() == 4);
    probation.count_death(4, "worker a/0 exited");
    probation.count_death(4, "worker a/1 exited");
    CHECK(probation.deaths() == 2);
    CHECK_FALSE(probation.failed());
    probation.count_death(4, "worker a/0 was killed");
    CHECK(probation.failed());
    CHECK(probation.reason() == "3 of its workers died, the last: worker a/0 was killed");
}

TEST_CASE("deaths of another generation do not count") {
    Probation probation(2, 0);
    CHECK_FALSE(probation.failed());
    probation.count_death(1, "x");
    CHECK(probation.deaths() == 0);
    probation.count_death(2, "x");
    CHECK(probation.failed());
    CHECK(probation.reason() == "1 of its workers died: x");
}
