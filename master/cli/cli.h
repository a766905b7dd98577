// The command line, the same in `drover` and in any program that embeds it. One table of commands
// (master/cli/commands.h) gives parsing and help; cli.cpp is the only file that includes CLI11. Runs in: the
// process that the operator starts; `run` becomes the master.
#pragma once

#include "master/cli/commands.h"
#include "worker/module/module.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

// What main() returns: a value of ExitCode. `modules` are all that configurations may name; the observer is
// there without being listed. The program is called by the last part of argv[0], and `program_version` is its
// own version ("1.4", at most 31 bytes), which titles, log, status and `version` show beside Drover's.
int run_command_line(int argc, char** argv, std::span<const ModuleFactory> modules,
                     std::string_view program_version = {});

// Arguments in parsed form.
struct CommandLine {
    const Command* command = nullptr;  // null only with help or version
    std::string config_path = "/etc/drover/drover.toml";
    std::string control_path;             // empty: found through config_path
    std::vector<std::string> words = {};  // after the command: "restart", "main/0"
    std::string pool = {};                // of --pool
    std::string last = {};                // of --lines
    std::string counter_pattern = {};     // of --counters; empty: none
    bool shows_counters = false;
    bool json = false;
    bool once = false;
    bool follow = false;
    bool fresh = false;
    bool probation = false;
    bool help = false;
    bool version = false;
};

// Or the one line that says what is wrong with them.
struct ParsedCommandLine {
    CommandLine line;
    std::string error;  // empty: fine
};

// `arguments` without the program's name. Options may stand before or after the command.
ParsedCommandLine parse_command_line(std::span<const std::string> arguments);

}  // namespace drover
