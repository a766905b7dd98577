// What the kernel says of a process (proc(5)). Runs in: the master, of its workers; all, of themselves.
#pragma once

#include <cstdint>
#include <string>

#include <sys/types.h>

namespace drover {

std::string process_file(pid_t pid, const char* name);  // up to its first NUL; empty when it cannot be read
// As proc(5) counts them, from 3, the state, on; empty when it cannot be read.
std::string stat_field(pid_t pid, unsigned number);
char state_in_kernel(pid_t pid);                // R, S, D, T (stopped), t, Z; '?' when it cannot be read
std::uint64_t resident_bytes_of(pid_t pid);     // 0 when it cannot be read
std::uint64_t processor_time_us_of(pid_t pid);  // of all its threads; 0 when it cannot be asked
// The kernel's function that it waits in; empty: none, or it is not told (CAP_SYS_PTRACE, of another user's).
std::string wait_channel(pid_t pid);

}  // namespace drover
