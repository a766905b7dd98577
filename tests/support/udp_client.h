// UdpClient sends datagrams to one address and takes answers from that address alone: one that leaves from
// another address of the server's never arrives (udp(7), connect). Runs in: tests.
#pragma once

#include "core/base/system_error.h"
#include "core/base/unique_fd.h"
#include "core/net/address.h"
#include "tests/support/deadline.h"

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

#include <poll.h>
#include <sys/socket.h>

namespace drover::test {

class UdpClient {
  public:
    explicit UdpClient(const Address& server)
        : socket_(
              check_call(::socket(server.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")) {
        check_call(::connect(socket_.get(), server.data(), server.size()), "connect", server.text());
    }

    int fd() const { return socket_.get(); }
    Address address() const { return Address::local_of(socket_.get()).as_datagrams(); }

    bool send(std::string_view bytes) const {
        return ::send(socket_.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    }
    // What has come already.
    std::optional<std::string> take() const {
        std::array<char, 65536> buffer;
        const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0) return std::nullopt;
        return std::string(buffer.data(), static_cast<std::size_t>(size));
    }
    // Waits for one; none when it does not come in time.
    std::optional<std::string> receive(const Deadline& deadline = Deadline()) const {
        for (;;) {
            if (std::optional<std::string> answer = take()) return answer;
            pollfd readable{socket_.get(), POLLIN, 0};
            if (::poll(&readable, 1, deadline.remaining_ms()) == 0) return std::nullopt;
        }
    }

  private:
    UniqueFd socket_;
};

}  // namespace drover::test
