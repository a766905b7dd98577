// ReservedPort is a TCP port of 127.0.0.1 that nobody uses and no other test running now will choose. It lies
// below the kernel's range for outgoing connections, so that no client can hold it by chance. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"

#include <cstdint>
#include <string>

namespace drover::test {

class ReservedPort {
  public:
    ReservedPort();

    std::uint16_t number() const { return number_; }
    std::string address() const { return "127.0.0.1:" + std::to_string(number_); }

  private:
    std::uint16_t number_ = 0;
    UniqueFd claim_;  // an abstract unix socket named after the port: gone with the test, however it ends
};

// A socket of somebody else's that listens there.
UniqueFd occupy_port(std::uint16_t port);

}  // namespace drover::test
