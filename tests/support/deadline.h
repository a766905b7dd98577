// Deadline is how long a test waits for an event before it fails. Programs under sanitizers get four times as
// long. Runs in: tests.
#pragma once

#include <algorithm>
#include <chrono>

namespace drover::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitizers = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool sanitizers = true;
#else
inline constexpr bool sanitizers = false;
#endif
#else
inline constexpr bool sanitizers = false;
#endif

class Deadline {
  public:
    using Clock = std::chrono::steady_clock;

    explicit Deadline(std::chrono::milliseconds limit = std::chrono::seconds(10))
        : end_(Clock::now() + limit * (sanitizers ? 4 : 1)) {}

    bool passed() const { return Clock::now() >= end_; }
    // For poll(2): at least 0.
    int remaining_ms() const {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now());
        return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
    }

  private:
    Clock::time_point end_;
};

}  // namespace drover::test
