// What the control groups of this process allow it: processors and memory (cgroups(7)). A limit of any group
// above binds, too: the least counts, from the process's own group up to the topmost that it can see. Both
// versions are asked; a machine may have both. Runs in: the config reader.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace drover {

struct ProcessorQuota {
    std::uint64_t quota_us = 0;
    std::uint64_t period_us = 0;
    std::string folder;  // of the group that has it

    // Started processors: at least 1.
    unsigned processors() const noexcept;
};

struct MemoryLimit {
    std::uint64_t bytes = 0;
    std::string folder;
};

// None: no group has a limit, or none can be read. `root` stands before every path that is read: empty, or
// the folder of a test's tree.
std::optional<ProcessorQuota> find_processor_quota(const std::string& root = {});
std::optional<MemoryLimit> find_memory_limit(const std::string& root = {});

}  // namespace drover
