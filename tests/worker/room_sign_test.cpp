#include "worker/room_sign.h"

#include "tests/support/run_until.h"

#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

struct ShownRoom {
    EventLoop loop;
    std::vector<bool> shown;
    RoomSign sign{loop, Callback<void()>::to<&ShownRoom::note>(this)};

    void note() { shown.push_back(sign.full()); }
    bool comes_to(std::size_t count) {
        return run_until(loop, [&] { return shown.size() == count; });
    }
};

}  // namespace

TEST_CASE("a worker with one place that fills and empties all the time says so seldom") {
    ShownRoom room;
    for (int i = 0; i < 1000; ++i) {
        room.sign.update(1, 1);
        room.sign.update(0, 1);
    }
    CHECK(room.shown == std::vector<bool>{true, false, true});
    CHECK(room.comes_to(4));
    CHECK_FALSE(room.sign.full());
}

TEST_CASE("one that has filled up again when its time has come shows no room") {
    ShownRoom room;
    for (int i = 0; i < 3; ++i) {
        room.sign.update(0, 1);
        room.sign.update(1, 1);
    }
    Timer later(room.loop, Timer::Handler::to<&ShownRoom::note>(&room));
    later.start_once(2 * RoomSign::interval);
    REQUIRE(room.comes_to(4));
    CHECK(room.sign.full());
    room.sign.update(0, 1);
    CHECK_FALSE(room.sign.full());
}

TEST_CASE("room again is an eighth of the limit") {
    ShownRoom room;
    room.sign.update(63, 64);
    CHECK(room.shown.empty());
    room.sign.update(64, 64);
    room.sign.update(57, 64);
    CHECK(room.shown == std::vector<bool>{true});
    room.sign.update(56, 64);
    CHECK(room.shown == std::vector<bool>{true, false});
}
