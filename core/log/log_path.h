// Opening the files that logs go to. A process that is root does not let itself be led to other files by who
// may write to a log's folder, or to one above it. Runs in: the master; opened files travel to workers.
#pragma once

#include "core/base/unique_fd.h"

#include <string>

namespace drover {

// Appends; the file is created with mode 0640 when it is missing. FIFOs, sockets, directories and devices
// other than terminals and /dev/null are refused, and for root, since what is named may be somebody else's
// doing:
//
// - symbolic links on the way, and as the file, but for those in folders that root alone may write to, or of
//   root in sticky ones;
// - a folder that everybody may write to, if it is not sticky;
// - a file with a second name (a hard link);
// - in a folder that others may write to a file that is neither root's nor the folder's owner's (in a sticky
//   one: that is not root's).
//
// A path of the process's own standard output or error ("/dev/stdout", "/proc/self/fd/2", and links to them)
// means that descriptor (reopen_for_appending), unless it is a regular file.
//
// Throws std::system_error.
UniqueFd open_log_path(const std::string& path);

// Throw what the two would throw now; make and open nothing.
void check_log_path(const std::string& path);
void check_log_fifo(const std::string& path);

// The same for a FIFO, which is opened for reading, too (fifo(7)): it needs no reader, outlives one, and
// gives a reader no end of file as long as it is open. Throws std::system_error.
UniqueFd open_log_fifo(const std::string& path);

// A second description, for writing without blocking, of what `fd` is, whatever its name means by now. A
// duplicate of `fd` where that cannot be had, and of a file that is not appended to; none when the process is
// at its limit of descriptors.
UniqueFd reopen_for_appending(int fd) noexcept;

// Whether `path` means the very file that `fd` is of.
bool names_file(const std::string& path, int fd) noexcept;

}  // namespace drover
