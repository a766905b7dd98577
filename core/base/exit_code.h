// What Drover's processes exit with: the command line's codes and a worker's.
#pragma once

namespace drover {

enum class ExitCode : int {
    ok = 0,
    refused = 1,  // refused or failed, the reason is on stderr
    usage = 2,    // wrong command line
    config = 78,  // EX_CONFIG of sysexits.h: bad configuration
};

constexpr int to_int(ExitCode code) noexcept {
    return static_cast<int>(code);
}

}  // namespace drover
