// What the kernel allows a worker, as its pool's settings say: descriptors, core, processor, priority.
// Runs in: worker, before it gives up root.
#pragma once

#include "conf/settings.h"

namespace drover {

// Throws std::runtime_error that names the key whose value cannot be had.
void apply_limits(const PoolSettings& pool, unsigned slot);

// A process that has changed its user leaves no core unless it says so (prctl(2), PR_SET_DUMPABLE).
void allow_core() noexcept;

// The processor of a worker: the one of `processors` (not empty) whose turn is the slot's.
unsigned processor_of(unsigned slot, const std::vector<unsigned>& processors) noexcept;

}  // namespace drover
