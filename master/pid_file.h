// PidFile says which process is the master of a runtime directory: runtime_dir/drover.pid, for everybody to
// read, and beside it drover.pid.lock, locked for as long as the master lives, so that two masters can never
// share a runtime_dir and files left by a killed one are taken over. The lock is flock(2), for which reading
// is enough: nobody else may open that file, and one that belongs to another user is refused. Its descriptor
// is close-on-exec, and spawn() does not pass it on: no worker can keep it locked. Runs in: the master.
#pragma once

#include "core/base/unique_fd.h"

#include <string>

#include <sys/types.h>

namespace drover {

class PidFile {
  public:
    // Opens and locks the lock file, checks that the locked inode is still the one of that name (else again),
    // and only then writes our pid. Throws std::runtime_error "another master (pid 1234) runs in DIRECTORY"
    // or std::system_error.
    explicit PidFile(const std::string& path);
    // Removes both while the lock is still held. Only in the process that made it.
    ~PidFile();
    // Makes again what has gone or has become another file; true when something had. Throws as the
    // constructor does.
    bool renew();
    PidFile(const PidFile&) = delete;
    PidFile& operator=(const PidFile&) = delete;

    // For others: the pid in the file, when that process holds the lock beside it; 0: no master runs, or none
    // that can be seen from here.
    static pid_t running_master(const std::string& path);

  private:
    class Lock {
      public:
        explicit Lock(const std::string& pid_path);
        ~Lock();
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;

        bool held() const noexcept;
        void take_again(const std::string& pid_path);

      private:
        std::string path_;
        pid_t owner_;
        UniqueFd fd_;
    };

    void write() const;
    bool names_us() const noexcept;

    std::string path_;
    Lock lock_;
};

}  // namespace drover
