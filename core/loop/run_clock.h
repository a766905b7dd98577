// RunClock is the time in which this process's loop has turned. It stands still while the process does
// (SIGSTOP, a frozen container, a machine that sleeps) and while one callback keeps the loop from others:
// what somebody else said in that time still waits to be read, so nobody may be judged by it. RunTimer is a
// deadline for others, measured by that clock. Owned by who judges; must outlive its timers. Runs in: the
// master, and a worker that drains.
#pragma once

#include "core/loop/event_loop.h"

#include <chrono>
#include <cstdint>

namespace drover {

class RunClock {
  public:
    static constexpr std::chrono::milliseconds tick{500};
    // The loop's own lateness up to here is no standstill.
    static constexpr std::chrono::milliseconds tolerance{250};
    // So long after a standstill all that waited has been read.
    static constexpr std::chrono::milliseconds settle_time{1000};
    static constexpr unsigned most_unsettled_ticks = 10;

    explicit RunClock(EventLoop& loop);

    // Milliseconds, from any beginning.
    std::int64_t now_ms() const noexcept { return now_at(loop_.now_ms()); }
    // CLOCK_MONOTONIC for a time of this clock: what a standstill took does not make it older.
    std::int64_t to_monotonic_ms(std::int64_t run_ms) const noexcept;
    // False during a standstill and a little longer: no deadline passes. True again when that goes on for
    // most_unsettled_ticks: each turn of a loop that is only slow reads what waits.
    bool settled() const noexcept;

    EventLoop& loop() const noexcept { return loop_; }

  private:
    std::int64_t overdue_ms(std::int64_t now) const noexcept;
    std::int64_t now_at(std::int64_t now) const noexcept { return now - lost_ms_ - overdue_ms(now); }
    void on_tick();

    EventLoop& loop_;
    Timer timer_;
    std::int64_t next_tick_ms_;
    std::int64_t lost_ms_ = 0;
    std::int64_t settled_at_ms_ = 0;  // of this clock
    unsigned unsettled_ticks_ = 0;    // in a row
};

// As Timer::start_once, by a RunClock. Not early; a standstill makes it late. A handler may destroy its own
// RunTimer.
class RunTimer {
  public:
    RunTimer(const RunClock& clock, Timer::Handler handler) noexcept;

    void start_once(std::chrono::milliseconds after);
    void stop() noexcept { timer_.stop(); }
    bool started() const noexcept { return timer_.started(); }

  private:
    void on_time();

    const RunClock& clock_;
    Timer::Handler handler_;
    Timer timer_;
    std::int64_t due_ms_ = 0;
};

}  // namespace drover
