// What is made of the command table for shells and for man: a completion script for bash, and the pages
// PROGRAM(1) and PROGRAM.toml(5) in the form of scdoc(5). Runs in: the command line.
#pragma once

#include "conf/checker.h"

#include <span>
#include <string>
#include <string_view>

namespace drover {

std::string completion_script(std::string_view program);
std::string manual_page(std::string_view program);
// Every key, as `PROGRAM help config` has them.
std::string configuration_manual(std::string_view program, std::span<const ModuleDeclaration> modules);

}  // namespace drover
