// The version of the library, as CMakeLists.txt says it. Runs in: every process.
#pragma once

namespace drover {

const char* version() noexcept;  // "0.1.0"

}  // namespace drover
