// The modules that ship with Drover: an explicit list, in the order a reference shows them.
#pragma once

#include "worker/module/module.h"

#include <span>

namespace drover {

std::span<const ModuleFactory> all_modules() noexcept;

}  // namespace drover
