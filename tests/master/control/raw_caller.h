// A caller of the control socket that can misbehave: sends any bytes, reads when it wants to, never blocks.
// Runs in: tests, on the server's own thread.
#pragma once

#include "core/base/system_error.h"
#include "core/base/unique_fd.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

namespace drover::test {

class RawCaller {
  public:
    explicit RawCaller(const std::string& path)
        : socket_(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        const auto* name = reinterpret_cast<const sockaddr*>(&address);
        check_call(::connect(socket_.get(), name, sizeof address), "connect", path);
    }

    int fd() const { return socket_.get(); }
    // How many bytes the socket took; 0 when it is full or the peer is gone.
    std::size_t send(std::string_view bytes) {
        const ssize_t size = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        return size > 0 ? static_cast<std::size_t>(size) : 0;
    }
    void finish_sending() { ::shutdown(fd(), SHUT_WR); }
    void close() { socket_.reset(); }

    // Everything received so far.
    const std::string& received() {
        char buffer[65536];
        for (;;) {
            const ssize_t size = ::recv(fd(), buffer, sizeof buffer, 0);
            if (size > 0) {
                received_.append(buffer, static_cast<std::size_t>(size));
            } else {
                ended_ = ended_ || size == 0 || errno == ECONNRESET;
                return received_;
            }
        }
    }
    bool ended() {
        received();
        return ended_;
    }
    std::size_t lines() { return static_cast<std::size_t>(std::ranges::count(received(), '\n')); }

  private:
    UniqueFd socket_;
    std::string received_;
    bool ended_ = false;
};

}  // namespace drover::test
