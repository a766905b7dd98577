// RuntimeDirectory is where a master keeps its pid file and control socket: made when it is not there, and
// removed again by the one who made it, if nothing else has come into it. Runs in: the master.
#pragma once

#include <string>

#include <sys/types.h>

namespace drover {

class RuntimeDirectory {
  public:
    // Throws std::system_error: it cannot be made, or is no directory.
    explicit RuntimeDirectory(std::string path);
    ~RuntimeDirectory();
    RuntimeDirectory(const RuntimeDirectory&) = delete;
    RuntimeDirectory& operator=(const RuntimeDirectory&) = delete;

    // Makes it again if it has gone; true when it had. Throws as the constructor does.
    bool renew();
    const std::string& path() const noexcept { return path_; }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
    bool made_ = false;
    pid_t owner_;
};

}  // namespace drover
