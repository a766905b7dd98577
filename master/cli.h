// The command line, the same in `drover` and in any program that embeds it. One table of commands gives parsing, help, completion and
// manual page. Runs in: the process that the operator starts; `run` becomes the master.
#pragma once

#include <span>
#include <string>

#include "core/exit_code.h"
#include "worker/module.h"

namespace drover {

// What main() returns. `program` is the name shown in help. `modules` are all that configurations may name.
int run_command_line(int argc, char** argv, std::span<const ModuleFactory> modules);

}  // namespace drover
