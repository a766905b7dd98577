// NotifySocket is the service manager's side of sd_notify(3): readiness is a message, so no test sleeps for
// it. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"

#include <string>
#include <string_view>
#include <vector>

namespace drover::test {

class NotifySocket {
  public:
    explicit NotifySocket(std::string path);

    int fd() const { return socket_.get(); }
    std::string environment() const { return "NOTIFY_SOCKET=" + path_; }
    // Takes in what has arrived.
    void drain();
    // Every message so far, in order.
    const std::vector<std::string>& messages() const { return messages_; }
    // How many messages have a line that starts so: count("READY=1").
    std::size_t count(std::string_view assignment) const;

  private:
    std::string path_;
    UniqueFd socket_;
    std::vector<std::string> messages_;
};

}  // namespace drover::test
