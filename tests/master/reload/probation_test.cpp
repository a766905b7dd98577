#include "master/reload/probation.h"

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("as many deaths as are forgiven leave a generation on probation, one more is too many") {
    Probation probation;
    CHECK_FALSE(probation.under_way());
    probation.begin(4, 2);
    CHECK(probation.under_way());
    CHECK(probation.generation() == 4);
    probation.count_death(4, "worker a/0 exited");
    probation.count_death(4, "worker a/1 exited");
    CHECK(probation.deaths() == 2);
    CHECK_FALSE(probation.failed());
    probation.count_death(4, "worker a/0 was killed");
    CHECK(probation.failed());
    CHECK(probation.reason() == "3 of its workers died, the last: worker a/0 was killed");
}

TEST_CASE("deaths of another generation, or of none on probation, do not count") {
    Probation probation;
    probation.count_death(1, "x");
    probation.count_death(0, "x");
    CHECK_FALSE(probation.failed());
    probation.begin(2, 0);
    probation.count_death(1, "x");
    CHECK(probation.deaths() == 0);
    probation.count_death(2, "x");
    CHECK(probation.failed());
    CHECK(probation.reason() == "1 of its workers died: x");
}

TEST_CASE("its end forgives everything, and the next one begins anew") {
    Probation probation;
    probation.begin(2, 0);
    probation.count_death(2, "x");
    probation.end();
    CHECK_FALSE(probation.under_way());
    CHECK_FALSE(probation.failed());
    probation.begin(3, 0);
    CHECK(probation.deaths() == 0);
    CHECK_FALSE(probation.failed());
}
