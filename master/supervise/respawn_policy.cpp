#include "master/supervise/respawn_policy.h"

#include <algorithm>

namespace drover {

RespawnPolicy::milliseconds RespawnPolicy::delay_after_death(milliseconds now, milliseconds served,
                                                             double jitter) {
    if (served >= healthy) {
        deaths_.clear();
        doublings_ = 0;
    }
    if (served >= early) return milliseconds(0);
    while (!deaths_.empty() && deaths_.front() + window <= now)
        deaths_.pop_front();
    if (deaths_.size() < rule_.burst) {
        deaths_.push_back(now);
        return milliseconds(0);
    }
    const unsigned doublings = std::min(doublings_++, 20U);
    const milliseconds delay = std::min(rule_.first_delay * (1U << doublings), rule_.longest_delay);
    return delay - milliseconds(static_cast<std::int64_t>(static_cast<double>(delay.count()) * jitter / 4));
}

RespawnPolicy::milliseconds RespawnPolicy::delay_after_shortage() noexcept {
    const unsigned doublings = std::min(shortages_++, 10U);
    return std::clamp(rule_.first_delay * (1U << doublings), shortest_shortage, longest_shortage);
}

}  // namespace drover
