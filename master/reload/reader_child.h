// The work of the config reader's child. Runs in: the config reader.
#pragma once

#include "worker/module/module.h"

#include <span>
#include <string>

namespace drover {

struct ReaderInheritance {
    int channel_fd = -1;
    int image_memory_fd = -1;   // to be filled and sealed
    int running_image_fd = -1;  // -1: none
    std::string config_path;
    std::span<const ModuleFactory> modules;
    bool trial =
        false;  // `drover check`: what the machine would refuse is told, too (conf/reader/machine_faults.h)
};

// The child's main; returns its exit status: 0 when an image was made, EX_CONFIG when what was sent are
// faults of the file, 1 when they are others.
int run_config_reader(const ReaderInheritance& inheritance);

}  // namespace drover
