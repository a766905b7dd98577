// What `drover help metrics` prints and docs/observability.md ends with: every counter that is declared, by
// who declares it, as Markdown. Runs in: the command line.
#pragma once

#include "conf/reader/checker.h"

#include <span>
#include <string>

namespace drover {

// Of modules whose counters depend on their options, what Module::counters() names in their place.
std::string metrics_reference(std::span<const ModuleDeclaration> modules);

}  // namespace drover
