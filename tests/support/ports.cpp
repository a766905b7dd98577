#include "tests/support/ports.h"

#include "core/base/system_error.h"

#include <cstddef>
#include <cstring>
#include <stdexcept>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace drover::test {
namespace {

constexpr unsigned first_port = 12000;
constexpr unsigned port_count = 20000;

UniqueFd claim_name(unsigned port) {
    const std::string name = "drover-test-port-" + std::to_string(port);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    UniqueFd socket(check_call(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return {};
    return socket;
}

UniqueFd bind_port(unsigned port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    UniqueFd socket(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    const int on = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
    return socket;
}

}  // namespace

ReservedPort::ReservedPort() {
    const auto start = static_cast<unsigned>(getpid()) * 17;
    for (unsigned i = 0; i < port_count; ++i) {
        const unsigned port = first_port + (start + i) % port_count;
        claim_ = claim_name(port);
        if (!claim_ || !bind_port(port)) continue;
        number_ = static_cast<std::uint16_t>(port);
        return;
    }
    throw std::runtime_error("no free port");
}

UniqueFd occupy_port(std::uint16_t port) {
    UniqueFd socket = bind_port(port);
    check_call(listen(socket.get(), 1), "listen");
    return socket;
}

}  // namespace drover::test
