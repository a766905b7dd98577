// The version of the library, as CMakeLists.txt says it. Runs in: every process.
#pragma once

// Of these headers: what is built with them must run with a library of the same.
#define DROVER_HEADER_VERSION "0.1.0"

namespace drover {

const char* version() noexcept;  // "0.1.0"

}  // namespace drover
