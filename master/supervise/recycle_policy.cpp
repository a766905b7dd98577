#include "master/supervise/recycle_policy.h"

#include <algorithm>

namespace drover {

namespace {

bool reached(std::uint64_t value, std::uint64_t limit, double jitter) noexcept {
    if (limit == 0) return false;
    const double drawn = static_cast<double>(limit) * (1 + jitter / 10);
    return static_cast<double>(value) >= drawn;
}

// Below the limit at which a worker is killed, also with all of the jitter.
std::uint64_t memory_to_recycle_at(const PoolSettings& pool) noexcept {
    const std::uint64_t below_limit = pool.memory_limit / 10 * 9;
    if (below_limit == 0 || pool.recycle.memory == 0) return std::max(below_limit, pool.recycle.memory);
    return std::min(below_limit, pool.recycle.memory);
}

}  // namespace

std::string recycle_reason(const PoolSettings& pool, const WorkerAge& worker, double jitter) {
    if (reached(worker.accepted, pool.recycle.connections, jitter)) {
        return "it has accepted " + std::to_string(worker.accepted) + " connections";
    }
    const std::uint64_t memory = memory_to_recycle_at(pool);
    if (worker.first_resident_bytes < memory && reached(worker.resident_bytes, memory, jitter)) {
        return "it has " + std::to_string(worker.resident_bytes / 1024) + " KiB of memory";
    }
    if (reached(static_cast<std::uint64_t>(worker.age_ms), static_cast<std::uint64_t>(pool.recycle.age_ms),
                jitter)) {
        return "it is " + std::to_string(worker.age_ms / 1000) + " s old";
    }
    return {};
}

}  // namespace drover
