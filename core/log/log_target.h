// LogTarget is what a configuration calls log_file or access_log, opened: a descriptor and the name that says
// how lines are written to it. The two travel together to other processes. Runs in: every process.
#pragma once

#include "core/base/unique_fd.h"

#include <string>
#include <string_view>

namespace drover {

struct LogTarget {
    UniqueFd fd;
    std::string name = {};  // as open_log_target has it; empty: a descriptor that is used as it is found

    // A descriptor with a description of its own, for another process: whatever it does to the flags or the
    // connection, it does to itself. A descriptor that cannot be had a second time (a socket that is standard
    // error, a file that could not be opened now) is shared. No value when the process is at its limit of
    // descriptors. The journal's need not be connected: the sender connects it when somebody listens again.
    UniqueFd reopen() const noexcept;

    // Its path means another file by now, or none.
    bool moved() const;

    bool is_fifo() const noexcept;
    bool is_journal() const noexcept;
};

// - stdout, stderr: reopened through /proc/self/fd where that can be done, so that others who share the
//   description do not get O_NONBLOCK. A socket is used with MSG_DONTWAIT. A regular file is used as it is:
//   it never blocks, and a second description with an offset of its own would overwrite what others print.
// - journal: systemd's, by its own protocol: the Log sends entries with fields, and no time, text or JSON.
// - journal:PATH: the same at another socket, that of a namespace of the journal.
// - fifo:PATH: a FIFO, made with mode 0640 when it is missing. While nobody reads, lines wait in it as long
//   as it has room (64 KiB, pipe(7)), later ones are lost and counted; workers that outlive their master need
//   a reader, who cannot be them. Lines are cut below 4 KiB, and end in "..." then.
// - PATH: appended to; core/log/log_path.h has what is refused, and which paths mean stdout and stderr.
//
// Throws std::system_error.
LogTarget open_log_target(const std::string& name);

// Throws what open_log_target would throw now; makes nothing.
void check_log_target(const std::string& name);

// Connects a socket to who listens now at the journal of that name. False: nobody; errno says why.
bool connect_journal(int socket, std::string_view name) noexcept;

// The same name with its path, if it has one, made absolute: relative ones start at `directory`.
std::string absolute_log_target(std::string_view name, const std::string& directory);

// Why the absolute name can be no target, whatever is there; empty: nothing is wrong with it.
std::string log_target_fault(std::string_view name);

}  // namespace drover
