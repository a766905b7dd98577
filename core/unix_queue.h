// UnixQueues tells how many connections wait on listening unix sockets: sock_diag(7), since no socket option
// does. A kernel that gives no answer is not asked again: one without unix_diag would look for the module
// each time. Runs in: the master.
#pragma once

#include "core/unique_fd.h"

#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace drover {

class UnixQueues {
  public:
    // None: it is no socket, or the kernel does not tell (CONFIG_UNIX_DIAG; it tells of unix sockets alone).
    std::optional<std::uint32_t> length(int listener) noexcept;

  private:
    std::optional<std::uint32_t> ask(ino_t inode) noexcept;

    UniqueFd kernel_;
    bool silent_ = false;
};

}  // namespace drover
