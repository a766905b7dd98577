// LeastRate is how long a client may keep us waiting while it sends a body or takes a reply: a grace, and a
// second more for each `min_rate` bytes that it moves, so that one byte a second does not hold a connection
// for ever. Bytes that came fast buy the client a bounded time at most. A value; time is the deadline
// wheel's. Runs in: worker.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace drover::http {

class LeastRate {
  public:
    using Time = std::chrono::milliseconds;
    static constexpr Time grace{5000};

    // The client is waited for from now on, and has `left`.
    explicit LeastRate(Time now = Time(0), Time left = grace) noexcept : left_(now + left) {}

    // It is not waited for until resume(): its time stands still. Each may be called again.
    void pause(Time now) noexcept {
        if (!paused_) left_ -= now;
        paused_ = true;
    }
    void resume(Time now) noexcept {
        if (paused_) left_ += now;
        paused_ = false;
    }
    // It has moved that much, while it is waited for; `min_rate` above 0, bytes a second. It never has more
    // than `most` left.
    void add(std::uint64_t bytes, std::uint64_t min_rate, Time now, Time most) noexcept {
        constexpr std::uint64_t most_bytes = 1ULL << 50;
        const Time earned(std::min(bytes, most_bytes) * 1000 / min_rate);
        left_ = std::min(left_ + earned, now + std::max(most, grace));
    }
    // What is left of its time; 0 or less: it is too slow.
    Time left(Time now) const noexcept { return left_ - now; }

  private:
    Time left_;  // when its time is over; while paused, how much it has
    bool paused_ = false;
};

}  // namespace drover::http
