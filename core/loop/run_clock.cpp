#include "core/loop/run_clock.h"

#include <algorithm>

namespace drover {

RunClock::RunClock(EventLoop& loop)
    : loop_(loop),
      timer_(loop, Timer::Handler::to<&RunClock::on_tick>(this)),
      next_tick_ms_(loop.now_ms() + tick.count()) {
    timer_.start_once(tick);
}

std::int64_t RunClock::overdue_ms(std::int64_t now) const noexcept {
    return std::max<std::int64_t>(0, now - next_tick_ms_ - tolerance.count());
}

std::int64_t RunClock::to_monotonic_ms(std::int64_t run_ms) const noexcept {
    const std::int64_t now = loop_.now_ms();
    return now - (now_at(now) - run_ms);
}

bool RunClock::settled() const noexcept {
    if (unsettled_ticks_ >= most_unsettled_ticks) return true;
    const std::int64_t now = loop_.now_ms();
    return overdue_ms(now) == 0 && now_at(now) >= settled_at_ms_;
}

void RunClock::on_tick() {
    const std::int64_t now = loop_.now_ms();
    const std::int64_t overdue = overdue_ms(now);
    lost_ms_ += overdue;
    const bool unsettled = overdue > 0 || now - lost_ms_ < settled_at_ms_;
    unsettled_ticks_ = unsettled ? unsettled_ticks_ + 1 : 0;
    if (overdue > 0) settled_at_ms_ = now - lost_ms_ + settle_time.count();
    next_tick_ms_ = now + tick.count();
    timer_.start_once(tick);
}

RunTimer::RunTimer(const RunClock& clock, Timer::Handler handler) noexcept
    : clock_(clock), handler_(handler), timer_(clock.loop(), Timer::Handler::to<&RunTimer::on_time>(this)) {}

void RunTimer::start_once(std::chrono::milliseconds after) {
    due_ms_ = clock_.now_ms() + after.count();
    timer_.start_once(after);
}

void RunTimer::on_time() {
    const std::int64_t left = due_ms_ - clock_.now_ms();
    if (left > 0) return timer_.start_once(std::chrono::milliseconds(left));
    if (!clock_.settled()) return timer_.start_once(RunClock::tick);
    const Timer::Handler handler = handler_;
    handler();
}

}  // namespace drover
