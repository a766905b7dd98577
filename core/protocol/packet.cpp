#include "core/protocol/packet.h"

#include "core/base/check.h"
#include "core/protocol/message.h"

#include <cerrno>
#include <cstring>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace drover {
namespace {

// Space for credentials as well: on a socket with SO_PASSCRED they come first, and descriptors that then find
// no room are lost.
constexpr std::size_t control_size = CMSG_SPACE(max_message_fds * sizeof(int)) + CMSG_SPACE(sizeof(ucred));

// Of cmsg_len, not of the count that was expected: the kernel fills what room there is with further
// descriptors.
std::vector<UniqueFd> take_fds(msghdr& message) {
    std::vector<UniqueFd> fds;
    for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
         control = CMSG_NXTHDR(&message, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        fds.reserve(fds.size() + count);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
            fds.emplace_back(fd);
        }
    }
    return fds;
}

}  // namespace

PacketSent send_packet(int socket, std::span<const std::byte> head, std::span<const std::byte> body,
                       std::span<const int> fds) noexcept {
    DROVER_CHECK(fds.size() <= max_message_fds);
    iovec parts[2] = {{const_cast<std::byte*>(head.data()), head.size()},
                      {const_cast<std::byte*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    alignas(cmsghdr) std::byte control[CMSG_SPACE(max_message_fds * sizeof(int))];
    if (!fds.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        std::memset(control, 0, message.msg_controllen);
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    for (;;) {
        if (::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return PacketSent::sent;
        switch (errno) {
            case EINTR:
                continue;
            case EAGAIN:
                return PacketSent::would_block;
            case ETOOMANYREFS:
            case ENOBUFS:
            case ENOMEM:
                return PacketSent::busy;
            default:
                return PacketSent::failed;
        }
    }
}

std::size_t peek_packet(int socket, std::span<std::byte> buffer) noexcept {
    for (;;) {
        const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
        if (size >= 0) return static_cast<std::size_t>(size);
        if (errno != EINTR && errno != ECONNRESET) return 0;
    }
}

bool all_read(int socket) noexcept {
    int unread = 0;
    return ::ioctl(socket, SIOCOUTQ, &unread) == 0 && unread == 0;
}

ReceivedPacket receive_packet(int socket, std::span<std::byte> buffer) {
    for (;;) {
        iovec part{buffer.data(), buffer.size()};
        alignas(cmsghdr) std::byte control[control_size];
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        const ssize_t size = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (size < 0) {
            // ECONNRESET: the peer closed with messages unread. It is reported once and before those that the
            // peer had sent, which still wait.
            if (errno == EINTR || errno == ECONNRESET) continue;
            return {.result = errno == EAGAIN ? PacketReceived::would_block : PacketReceived::failed};
        }
        // Before anything else, even for an empty message: what came is installed and has no owner yet.
        std::vector<UniqueFd> fds = take_fds(message);
        if ((message.msg_flags & MSG_TRUNC) != 0) return {.result = PacketReceived::cut_data};
        if (size == 0) return {.result = PacketReceived::end_of_file};
        const bool cut = (message.msg_flags & MSG_CTRUNC) != 0;
        return {.result = cut ? PacketReceived::cut_fds : PacketReceived::received,
                .size = static_cast<std::size_t>(size),
                .fds = std::move(fds)};
    }
}

}  // namespace drover
