// The processors that this process may run on. Runs in: any process.
#pragma once

#include <vector>

namespace drover {

// Their numbers, in order: sched_getaffinity(2). All that are online where there are more than cpu_set_t has
// room for.
std::vector<unsigned> allowed_processors();

}  // namespace drover
