// StuckFilesystem is a mounted file system that takes requests and never answers: who looks for a file in it
// waits in state D, and SIGKILL does not end the wait (fuse, like a dead NFS server). When it goes everybody
// goes on. It needs root and /dev/fuse; there() says whether they were to be had. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"
#include "tests/support/temporary_folder.h"

#include <string>

#include <sys/types.h>

namespace drover::test {

class StuckFilesystem {
  public:
    StuckFilesystem();
    ~StuckFilesystem() { release(); }
    StuckFilesystem(const StuckFilesystem&) = delete;
    StuckFilesystem& operator=(const StuckFilesystem&) = delete;

    bool there() const { return mounted_; }
    // Waiting for it never ends.
    std::string file() const { return folder_.file("file"); }
    // The next process that waits for a file; throws when none comes in time.
    pid_t take_victim();
    // Everybody goes on.
    void release();

  private:
    TemporaryFolder folder_;
    UniqueFd requests_;
    bool mounted_ = false;
};

}  // namespace drover::test
