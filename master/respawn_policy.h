// RespawnPolicy says how long to wait before a dead worker's slot is filled again: not at all after a worker
// that had lived well, else a delay that doubles with each early death in a row, up to a bound. A value,
// without a clock. Runs in: the master, one per slot.
#pragma once

#include <chrono>

namespace drover {

class RespawnPolicy {
  public:
    using milliseconds = std::chrono::milliseconds;
    static constexpr milliseconds early{
        1000};  // a death within this time of Ready, or before it, is an early one
    static constexpr milliseconds longest_delay{5000};

    explicit RespawnPolicy(milliseconds first_delay) noexcept : first_delay_(first_delay) {}

    // `served` is how long the dead worker had been ready.
    milliseconds delay_after_death(milliseconds served) noexcept;

  private:
    milliseconds first_delay_;
    unsigned early_deaths_ = 0;  // in a row
};

}  // namespace drover
