#include "core/process/processors.h"

#include <algorithm>
#include <numeric>

#include <sched.h>
#include <unistd.h>

namespace drover {

std::vector<unsigned> allowed_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) {
        std::vector<unsigned> all(static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))));
        std::iota(all.begin(), all.end(), 0U);
        return all;
    }
    std::vector<unsigned> processors;
    for (unsigned processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (CPU_ISSET(processor, &set)) processors.push_back(processor);
    }
    return processors;
}

}  // namespace drover
