// Which clients a process holds, and killing it at a moment at which that is known exactly. Runs in: tests,
// benches.
#pragma once

#include <cstdint>
#include <set>

#include <sys/types.h>

namespace drover::test {

// The clients' ports of the TCP connections to `port` of this machine that the process holds. Connections
// that it has not accepted yet are not among them.
std::set<std::uint16_t> clients_held_by(pid_t pid, std::uint16_t port);

// Stops the process and waits until it stands still; false when it has gone meanwhile.
bool freeze(pid_t pid);

// Freezes the process, looks at what it holds, and kills it.
std::set<std::uint16_t> kill_frozen(pid_t pid, std::uint16_t port);

}  // namespace drover::test
