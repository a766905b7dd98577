// RecyclePolicy says when a healthy worker is to be replaced by a new one: after so many connections, with so
// much memory, at such an age. Each limit is up to a tenth higher, by the worker's own jitter, so that
// workers that started together are not replaced together. A value, without a clock. Runs in: the master.
#pragma once

#include "conf/settings.h"

#include <cstdint>
#include <string>

namespace drover {

struct WorkerAge {
    std::uint64_t accepted = 0;
    std::uint64_t first_resident_bytes = 0;  // soon after its start
    std::uint64_t resident_bytes = 0;
    std::int64_t age_ms = 0;
};

// Why the worker is to be recycled; empty: not yet. `jitter` is in [0, 1). A limit on memory that a worker
// exceeds from its start on recycles none: the next one would do the same.
std::string recycle_reason(const PoolSettings& pool, const WorkerAge& worker, double jitter);

}  // namespace drover
