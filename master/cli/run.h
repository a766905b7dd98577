// The three commands that need more than the control socket. Runs in: the process that the operator starts.
#pragma once

#include "core/base/exit_code.h"
#include "core/base/program.h"
#include "worker/module/module.h"

#include <span>
#include <string>

namespace drover {

// Becomes the master and serves until stopped. One line on stderr for a failure before it is ready.
ExitCode run_master(const std::string& config_path, std::span<const ModuleFactory> modules,
                    const Program& program);

// Reads and checks the configuration in a config reader; findings go to stderr. ok or config.
ExitCode check_configuration(const std::string& config_path, std::span<const ModuleFactory> modules);

}  // namespace drover
