#include "core/loop/event_loop.h"
#include "core/process/process.h"
#include "tests/core/process/pipe.h"
#include "tests/support/in_child.h"
#include "tests/support/run_until.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;
using drover::test::Pipe;
using namespace std::chrono_literals;
using drover::test::in_child;
using drover::test::run_until;

namespace {

// Runs in a forked child: a parent whose loop is shared with children that use, free and rebuild theirs.
int parent_with_children() {
    EventLoop loop;
    Pipe first;
    Pipe later;
    int reads = 0;
    int signals = 0;
    int ticks = 0;
    auto on_read = [&](Readiness) {
        char byte = 0;
        if (::read(first.read_end.get(), &byte, 1) == 1) ++reads;
    };
    auto on_signal = [&](int) { ++signals; };
    auto on_tick = [&] { ++ticks; };
    FdWatch watch;
    watch.start(loop, first.read_end.get(), Interest::read, FdWatch::Handler::of(&on_read));
    const SignalWatch usr1(loop, SIGUSR1, SignalWatch::Handler::of(&on_signal));
    Timer timer(loop, Timer::Handler::of(&on_tick));
    timer.start_every(1ms);

    const int keep[] = {first.read_end.get(), first.write_end.get()};
    const auto child_main = [&keep] {
        EventLoop own;
        int own_signals = 0;
        auto count = [&](int) { ++own_signals; };
        auto ignore = [](Readiness) {};
        const SignalWatch own_usr1(own, SIGUSR1, SignalWatch::Handler::of(&count));
        FdWatch own_watch;
        own_watch.start(own, keep[0], Interest::read, FdWatch::Handler::of(&ignore));
        ::raise(SIGUSR1);
        return run_until(own, [&] { return own_signals == 1; }) ? 0 : 1;
    };
    // Once from outside of the loop and once from inside of a callback.
    int failures = 0;
    const auto spawn_and_wait = [&] {
        const Process child = spawn({.loop = &loop, .keep_fds = keep}, child_main);
        int status = 0;
        if (::waitpid(child.pid(), &status, 0) != child.pid() || status != 0) ++failures;
    };
    spawn_and_wait();
    bool spawned = false;
    auto spawn_inside = [&] {
        spawn_and_wait();
        spawned = true;
    };
    Timer inside(loop, Timer::Handler::of(&spawn_inside));
    inside.start_once(0ms);
    if (!run_until(loop, [&] { return spawned; })) return 1;
    if (failures > 0) return 2;
    if (signals != 0) return 3;

    if (::write(first.write_end.get(), "x", 1) != 1) return 4;
    if (!run_until(
            loop, [&] { return reads == 1; }, 5s))
        return 5;
    ::raise(SIGUSR1);
    if (!run_until(
            loop, [&] { return signals == 1; }, 5s))
        return 6;
    const int ticks_before = ticks;
    if (!run_until(
            loop, [&] { return ticks > ticks_before; }, 5s))
        return 7;
    return 0;
}

}  // namespace

TEST_CASE("process: the parent's registrations survive what its children do with their loops") {
    in_child(parent_with_children);
}
