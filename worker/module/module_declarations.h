// What a program's modules declare to the configuration: their options, counters and checks.
// Runs in: the config reader and the command line.
#pragma once

#include "conf/reader/checker.h"
#include "worker/module/module.h"

#include <span>
#include <vector>

namespace drover {

// Makes one object of each module, which lives as long as its declaration (or a copy of a hook in it) does.
// No hook but name(), options() and counters() is called here. Of modules of one name the first counts, as in
// ModuleHost: one of the program's own takes the place of the observer that every program has.
std::vector<ModuleDeclaration> declare_modules(std::span<const ModuleFactory> factories);
ModuleDeclaration declare_module(ModuleFactory factory);

}  // namespace drover
