#include "tests/support/notify_socket.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <array>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace drover::test {

NotifySocket::NotifySocket(std::string path) : path_(std::move(path)) {
    socket_ = UniqueFd(check_call(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    check_call(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind",
               path_);
    check_call(chmod(path_.c_str(), 0666), "chmod", path_);
}

void NotifySocket::drain() {
    std::array<char, 4096> buffer{};
    for (;;) {
        const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0) return;
        messages_.emplace_back(buffer.data(), static_cast<std::size_t>(size));
    }
}

std::size_t NotifySocket::count(std::string_view assignment) const {
    return static_cast<std::size_t>(
        std::count_if(messages_.begin(), messages_.end(), [&](const std::string& message) {
            return ("\n" + message).find("\n" + std::string(assignment)) != std::string::npos;
        }));
}

}  // namespace drover::test
