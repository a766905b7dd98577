#include "master/respawn_policy.h"

#include <algorithm>

namespace drover {

RespawnPolicy::milliseconds RespawnPolicy::delay_after_death(milliseconds served) noexcept {
    if (served >= early) {
        early_deaths_ = 0;
        return milliseconds(0);
    }
    const unsigned doublings = std::min(early_deaths_++, 16U);
    return std::min(first_delay_ * (1U << doublings), longest_delay);
}

}  // namespace drover
