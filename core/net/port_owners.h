// Who listens on a port besides ourselves. The kernel lets a second service of the same user bind a port
// whose sockets all have SO_REUSEPORT, without a word: whoever binds with that option has to look
// (sock_diag(7)). Runs in: the master.
#pragma once

#include "core/net/address.h"

#include <span>

#include <sys/types.h>

namespace drover {

enum class Strangers { none, some, unknown };

// A socket that is bound to this interface, which does not exist, gets nothing: it owns no port any more.
inline constexpr int no_interface = 0x7fffffff;

// Whether `left` and `right` share a port: the kernel then gives connections to the one that names the
// address more exactly, and refuses to bind both without SO_REUSEPORT.
bool share_port(const Address& left, bool left_ipv6_only, const Address& right,
                bool right_ipv6_only) noexcept;

// Whether sockets other than `ours`, by inode, take what comes to the port of `address`, or to a part of it:
// tcp sockets that listen, udp sockets without a peer. Unknown: the kernel does not tell (CONFIG_INET_DIAG).
Strangers strangers_at(const Address& address, bool ipv6_only, std::span<const ino_t> ours) noexcept;

}  // namespace drover
