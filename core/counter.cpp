#include "core/counter.h"

namespace drover::detail {

constinit thread_local bool counting_thread = false;
alignas(64) constinit std::uint64_t unread_cell = 0;

}  // namespace drover::detail
