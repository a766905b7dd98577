#include "worker/module/services.h"

#include "core/counters/counter_row.h"

namespace drover {

std::uint64_t Services::reloads() const noexcept {
    return counters.status().reloads();
}

}  // namespace drover
