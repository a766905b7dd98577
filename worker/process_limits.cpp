#include "worker/process_limits.h"

#include "core/process/processors.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace drover {

namespace {

[[noreturn]] void refuse(const PoolSettings& pool, const std::string& key, const std::string& value) {
    throw std::runtime_error("pool." + pool.name + "." + key + " = " + value +
                             " cannot be had: " + std::strerror(errno));
}

void limit(const PoolSettings& pool, const char* key, int resource, std::uint64_t value) {
    if (value == 0) return;
    rlimit both{};
    ::getrlimit(static_cast<__rlimit_resource>(resource), &both);
    both.rlim_cur = value;
    both.rlim_max = std::max<rlim_t>(both.rlim_max, value);
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &both) == 0) return;
    refuse(pool, key, std::to_string(value));
}

void bind_to_processor(const PoolSettings& pool, unsigned slot) {
    if (pool.cpu_affinity == "off") return;
    const std::vector<unsigned> processors =
        pool.cpu_affinity == "auto"
            ? allowed_processors()
            : parse_processor_list(pool.cpu_affinity).value_or(std::vector<unsigned>());
    if (processors.empty()) return;
    const unsigned processor = processor_of(slot, processors);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        refuse(pool, "cpu_affinity", std::to_string(processor));
}

}  // namespace

void apply_limits(const PoolSettings& pool, unsigned slot) {
    limit(pool, "open_files_limit", RLIMIT_NOFILE, pool.open_files_limit);
    limit(pool, "core_limit", RLIMIT_CORE, pool.core_limit);
    bind_to_processor(pool, slot);
    const bool other_priority = pool.nice != 0;
    if (other_priority && ::setpriority(PRIO_PROCESS, 0, pool.nice) != 0) {
        refuse(pool, "nice", std::to_string(pool.nice));
    }
}

void allow_core() noexcept {
    ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

unsigned processor_of(unsigned slot, const std::vector<unsigned>& processors) noexcept {
    return processors[slot % processors.size()];
}

}  // namespace drover
