// The environment's text in memory. Children are forked without exec: what they shall not know has to be
// overwritten, not only left out of the list. Runs in: every process.
#pragma once

#include <string>
#include <vector>

namespace drover {

// At program start: moves the environment into one block of memory and overwrites it where it was, and the
// text that the kernel has laid beside the arguments. False, and nothing has changed, when there is no
// memory.
bool move_environment() noexcept;

// "NAME=value" of the present environment; "" when the variable is not set.
std::string environment_entry(const std::string& name);

// Puts these in place of the whole environment and overwrites the text of the one before, variables included
// that were unset since move_environment. Throws std::bad_alloc. Pointers that getenv(3) gave are invalid
// afterwards.
void replace_environment(const std::vector<std::string>& entries);

}  // namespace drover
