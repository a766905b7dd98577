// UnixQueues tells how many connections wait on listening unix sockets: sock_diag(7), since no socket option
// does. A kernel that refuses is not asked again: one without unix_diag would look for the module each time.
// Runs in: the master.
#pragma once

#include "core/base/unique_fd.h"

#include <cstdint>
#include <optional>

namespace drover {

class UnixQueues {
  public:
    // None: it is no unix socket, or the kernel does not tell (CONFIG_UNIX_DIAG).
    std::optional<std::uint32_t> length(int listener) noexcept;

  private:
    UniqueFd kernel_;
    bool refused_ = false;
};

}  // namespace drover
