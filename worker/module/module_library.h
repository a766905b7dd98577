// Modules in shared libraries: what a file says of itself, a sealed copy of it, and the module that the copy
// makes. The config reader reads, copies and loads; workers load the very same copy, also in a respawn or on
// the way back to an earlier generation. A library is never unloaded. Runs in: config reader, worker; never
// in the master.
#pragma once

#include "core/base/unique_fd.h"
#include "worker/module/loadable_module.h"

#include <cstddef>
#include <span>
#include <string>

namespace drover {

inline constexpr std::size_t max_library_bytes = std::size_t{256} * 1024 * 1024;

// The stamp in the note of an ELF file's bytes. Throws std::runtime_error: this is no shared library of this
// machine's kind, or it has no such note.
std::string module_stamp_of(std::span<const std::byte> file);

// A sealed copy of the file, in memory, that any user may map and nobody can change. Throws
// std::runtime_error: it cannot be opened, is no regular file, is too large; std::system_error: it cannot be
// read, or there is a shortage (is_shortage).
UniqueFd copy_library(const std::string& path);

// Compares the stamp, then loads the copy. Throws std::runtime_error: the stamp is another one, a symbol is
// missing, the library does not say how its module is made; std::system_error: no descriptor or no memory for
// it (is_shortage). An exception out of the library's constructors ends the process.
ModuleFactory load_module(int copy);

}  // namespace drover
