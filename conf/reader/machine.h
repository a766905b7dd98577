// Machine is what this machine, or the container, leaves to the service: what "auto" and shares such as "25%"
// stand for. The config reader looks once and writes the numbers into the image, so that every process of a
// generation goes by the same ones. Runs in: the config reader.
#pragma once

#include "conf/image/image.h"
#include "conf/options/options.h"

#include <cstdint>
#include <string>

namespace drover {

struct Machine {
    unsigned processors = 1;
    std::string processors_reason = {};  // "control group /sys/fs/cgroup allows 1.5 processors"
    std::uint64_t memory = 0;            // bytes
    std::uint64_t descriptors = 0;       // that a worker may have
    unsigned workers = 1;                // of all pools, who share the memory

    static Machine look();
};

// Fills in the numbers of a checked table and of those in it.
void resolve_resources(const OptionTable& options, ImageValue& table, const Machine& machine);

}  // namespace drover
