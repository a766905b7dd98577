// What is made of the command table for shells and for man: a completion script for bash, and the pages
// PROGRAM(1) and PROGRAM.toml(5) in the form of scdoc(5). Runs in: the command line.
#pragma once

#include "conf/reader/checker.h"
#include "core/base/program.h"

#include <span>
#include <string>
#include <string_view>

namespace drover {

std::string completion_script(std::string_view program);
std::string manual_page(const Program& program);
// Every key, as `PROGRAM help config` has them.
std::string configuration_manual(const Program& program, std::span<const ModuleDeclaration> modules);

}  // namespace drover
