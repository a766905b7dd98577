// PidFile says which process is the master of a runtime directory: runtime_dir/drover.pid, locked for as long
// as the master lives, so that two masters can never share a runtime_dir and a file left by a killed one is
// taken over. The lock is flock(2) on a close-on-exec descriptor that spawn() does not pass on: no worker can
// keep it locked. Runs in: the master.
#pragma once

#include "core/unique_fd.h"

#include <string>

#include <sys/types.h>

namespace drover {

class PidFile {
  public:
    // Opens, locks, checks that the locked inode is still the one at `path` (else again), and only then
    // writes our pid. Throws std::runtime_error "another master (pid 1234) runs in DIRECTORY" or
    // std::system_error.
    explicit PidFile(const std::string& path);
    // Removes the file while the lock is still held. Only in the process that made it.
    ~PidFile();
    PidFile(const PidFile&) = delete;
    PidFile& operator=(const PidFile&) = delete;

  private:
    void remove() noexcept;

    std::string path_;
    UniqueFd fd_;
    pid_t owner_ = 0;
};

}  // namespace drover
