// The modules that ship with Drover: an explicit list, in the order a reference shows them.
#pragma once

#include <span>

#include "worker/module.h"

namespace drover {

std::span<const ModuleFactory> all_modules() noexcept;

}  // namespace drover
