// How many connections wait on a listening unix socket: sock_diag(7), since no socket option tells.
// Runs in: the master.
#pragma once

#include <cstdint>
#include <optional>

namespace drover {

// None: it is no unix socket, or the kernel was built without CONFIG_UNIX_DIAG.
std::optional<std::uint32_t> unix_queue_length(int listener) noexcept;

}  // namespace drover
