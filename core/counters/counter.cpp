#include "core/counters/counter.h"

namespace drover::detail {

constinit thread_local bool counting_thread = false;
alignas(64) constinit std::uint64_t unread_cells[2] = {};

}  // namespace drover::detail
