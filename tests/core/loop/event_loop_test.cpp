#include "core/loop/event_loop.h"

#include "core/base/unique_fd.h"
#include "tests/support/open_fds.h"
#include "tests/support/run_until.h"

#include <optional>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace drover;
using namespace std::chrono_literals;
using drover::test::run_until;

namespace {

struct SocketPair {
    UniqueFd here;
    UniqueFd there;
    SocketPair() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        here.reset(ends[0]);
        there.reset(ends[1]);
    }
    void send_byte() const { REQUIRE(::write(there.get(), "x", 1) == 1); }
};

}  // namespace

TEST_CASE("event_loop: a readable descriptor is reported until it is read") {
    EventLoop loop;
    SocketPair pair;
    int calls = 0;
    auto handler = [&](Readiness ready) {
        CHECK(ready.readable);
        CHECK_FALSE(ready.writable);
        char byte = 0;
        if (++calls == 2) CHECK(::read(pair.here.get(), &byte, 1) == 1);
    };
    FdWatch watch;
    watch.start(loop, pair.here.get(), Interest::read, FdWatch::Handler::of(&handler));
    CHECK(watch.started());
    CHECK(watch.loop() == &loop);
    loop.run_once(0ms);
    CHECK(calls == 0);
    pair.send_byte();
    REQUIRE(run_until(loop, [&] { return calls == 2; }));
    loop.run_once(0ms);
    CHECK(calls == 2);
}

TEST_CASE("event_loop: want changes what is asked for, none silences") {
    EventLoop loop;
    SocketPair pair;
    std::vector<Readiness> seen;
    auto handler = [&](Readiness ready) { seen.push_back(ready); };
    FdWatch watch;
    watch.start(loop, pair.here.get(), Interest::none, FdWatch::Handler::of(&handler));
    pair.send_byte();
    loop.run_once(0ms);
    CHECK(seen.empty());
    watch.want(Interest::read_write);
    loop.run_once(0ms);
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].readable);
    CHECK(seen[0].writable);
    watch.want(Interest::write);
    loop.run_once(0ms);
    REQUIRE(seen.size() == 2);
    CHECK_FALSE(seen[1].readable);
    watch.want(Interest::none);
    CHECK(watch.started());
    loop.run_once(0ms);
    CHECK(seen.size() == 2);
    watch.want(Interest::read);
    CHECK(watch.interest() == Interest::read);
    loop.run_once(0ms);
    CHECK(seen.size() == 3);
    watch.stop();
    CHECK_FALSE(watch.started());
    loop.run_once(0ms);
    CHECK(seen.size() == 3);
}

TEST_CASE("event_loop: a hang-up wakes readers and writers") {
    EventLoop loop;
    SocketPair pair;
    Readiness seen;
    auto handler = [&](Readiness ready) { seen = ready; };
    FdWatch watch;
    watch.start(loop, pair.here.get(), Interest::read_write, FdWatch::Handler::of(&handler));
    pair.there.reset();
    loop.run_once(1s);
    CHECK(seen.readable);
    CHECK(seen.writable);
}

TEST_CASE("event_loop: a regular file is refused and the watch stays usable") {
    EventLoop loop;
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    int calls = 0;
    auto handler = [&](Readiness) { ++calls; };
    FdWatch watch;
    try {
        watch.start(loop, file.get(), Interest::read, FdWatch::Handler::of(&handler));
        FAIL("a regular file was taken");
    } catch (const std::system_error& error) {
        CHECK(error.code().value() == EPERM);
    }
    CHECK_FALSE(watch.started());
    SocketPair pair;
    pair.send_byte();
    watch.start(loop, pair.here.get(), Interest::read, FdWatch::Handler::of(&handler));
    loop.run_once(0ms);
    CHECK(calls == 1);
}

TEST_CASE("event_loop: handlers may destroy their own registration and others'") {
    EventLoop loop;
    SocketPair first;
    SocketPair second;
    std::optional<FdWatch> watches[2];
    int calls = 0;
    auto handler = [&](Readiness) {
        ++calls;
        watches[0].reset();
        watches[1].reset();
    };
    watches[0].emplace().start(loop, first.here.get(), Interest::read, FdWatch::Handler::of(&handler));
    watches[1].emplace().start(loop, second.here.get(), Interest::read, FdWatch::Handler::of(&handler));
    first.send_byte();
    second.send_byte();
    loop.run_once(0ms);
    CHECK(calls == 1);

    std::optional<Timer> timer;
    auto drop_timer = [&] {
        ++calls;
        timer.reset();
    };
    timer.emplace(loop, Timer::Handler::of(&drop_timer));
    timer->start_every(1ms);
    REQUIRE(run_until(loop, [&] { return calls == 2; }));

    std::optional<SignalWatch> signal;
    auto drop_signal = [&](int) {
        ++calls;
        signal.reset();
    };
    signal.emplace(loop, SIGUSR1, SignalWatch::Handler::of(&drop_signal));
    ::raise(SIGUSR1);
    REQUIRE(run_until(loop, [&] { return calls == 3; }));
}

TEST_CASE("event_loop: the first exception stops run and is rethrown, the loop goes on") {
    EventLoop loop;
    SocketPair pair;
    int calls = 0;
    auto fail = [&](Readiness) {
        ++calls;
        throw std::runtime_error("from a handler");
    };
    FdWatch watch;
    watch.start(loop, pair.here.get(), Interest::read, FdWatch::Handler::of(&fail));
    pair.send_byte();
    CHECK_THROWS_WITH_AS(loop.run(), "from a handler", std::runtime_error);
    CHECK(calls == 1);
    CHECK_THROWS_WITH_AS(loop.run_once(1s), "from a handler", std::runtime_error);
    CHECK(calls == 2);
    watch.stop();
    auto fail_timer = [] { throw std::logic_error("from a timer"); };
    Timer timer(loop, Timer::Handler::of(&fail_timer));
    timer.start_once(0ms);
    CHECK_THROWS_WITH_AS(loop.run(), "from a timer", std::logic_error);
    auto fail_signal = [](int) { throw 7; };
    const SignalWatch signal(loop, SIGUSR2, SignalWatch::Handler::of(&fail_signal));
    ::raise(SIGUSR2);
    CHECK_THROWS_AS(loop.run(), int);
    CHECK_NOTHROW(loop.run_once(0ms));
}

TEST_CASE("event_loop: run without any registration waits for stop") {
    EventLoop loop;
    int calls = 0;
    auto stop = [&] {
        ++calls;
        loop.stop();
    };
    Timer timer(loop, Timer::Handler::of(&stop));
    timer.start_once(1ms);
    loop.run();
    CHECK(calls == 1);
    CHECK_FALSE(timer.started());
}

TEST_CASE("event_loop: a stop before run ends that run, and no later one") {
    EventLoop loop;
    loop.stop();
    loop.run();
    int calls = 0;
    auto stop = [&] {
        ++calls;
        loop.stop();
    };
    Timer timer(loop, Timer::Handler::of(&stop));
    timer.start_once(1ms);
    loop.run();
    CHECK(calls == 1);
}

TEST_CASE("event_loop: timers fire in order and can be moved and stopped") {
    EventLoop loop;
    std::vector<int> order;
    auto one = [&] { order.push_back(1); };
    auto two = [&] { order.push_back(2); };
    auto three = [&] { order.push_back(3); };
    Timer first(loop, Timer::Handler::of(&one));
    Timer second(loop, Timer::Handler::of(&two));
    Timer third(loop, Timer::Handler::of(&three));
    third.start_once(1ms);
    third.start_once(30ms);
    second.start_once(20ms);
    first.start_once(10ms);
    REQUIRE(run_until(loop, [&] { return order.size() == 3; }));
    CHECK(order == std::vector{1, 2, 3});

    order.clear();
    second.start_once(0ms);
    second.stop();
    first.start_every(1ms);
    REQUIRE(run_until(loop, [&] { return order.size() == 3; }));
    CHECK(first.started());
    first.start_once(0ms);
    REQUIRE(run_until(loop, [&] { return order.size() == 4; }));
    CHECK_FALSE(first.started());
    CHECK(order == std::vector{1, 1, 1, 1});
}

TEST_CASE("event_loop: a timer counts from its start, however late in a long callback that was") {
    using std::chrono::steady_clock;
    EventLoop loop;
    bool fired = false;
    int early = 0;
    steady_clock::time_point started;
    auto fire = [&] {
        fired = true;
        // The loop's clock is a coarse one: it may be a kernel tick behind (10 ms at HZ=100).
        if (steady_clock::now() - started < 60ms - 11ms) ++early;
    };
    Timer timer(loop, Timer::Handler::of(&fire));
    auto work = [&] {
        const auto begin = steady_clock::now();
        while (steady_clock::now() - begin < 50ms) {
        }
        started = steady_clock::now();
        timer.start_once(60ms);
    };
    Timer long_callback(loop, Timer::Handler::of(&work));
    for (int i = 0; i < 5; ++i) {
        fired = false;
        long_callback.start_once(0ms);
        REQUIRE(run_until(loop, [&] { return fired; }));
    }
    CHECK(early == 0);
}

TEST_CASE("event_loop: signals arrive as events and the old action comes back") {
    struct sigaction before {};
    ::sigaction(SIGUSR1, nullptr, &before);
    {
        EventLoop loop;
        std::vector<int> seen;
        auto handler = [&](int signal) { seen.push_back(signal); };
        const SignalWatch first(loop, SIGUSR1, SignalWatch::Handler::of(&handler));
        const SignalWatch second(loop, SIGUSR2, SignalWatch::Handler::of(&handler));
        ::raise(SIGUSR2);
        REQUIRE(run_until(loop, [&] { return seen.size() == 1; }));
        ::raise(SIGUSR1);
        REQUIRE(run_until(loop, [&] { return seen.size() == 2; }));
        CHECK(seen == std::vector{SIGUSR2, SIGUSR1});
    }
    struct sigaction after {};
    ::sigaction(SIGUSR1, nullptr, &after);
    const bool restored = after.sa_handler == before.sa_handler;
    CHECK(restored);
}

TEST_CASE("event_loop: the clock is monotonic milliseconds") {
    const EventLoop loop;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t expected = std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
    const std::int64_t read = loop.now_ms();
    CHECK(read >= expected);
    CHECK(loop.now_ms() >= read);
}

TEST_CASE("event_loop: leaves no descriptor behind") {
    const std::size_t before = drover::test::count_open_fds();
    {
        EventLoop loop;
        auto handler = [](int) {};
        const SignalWatch watch(loop, SIGUSR1, SignalWatch::Handler::of(&handler));
        loop.run_once(0ms);
        CHECK(drover::test::count_open_fds() > before);
    }
    CHECK(drover::test::count_open_fds() == before);
}
