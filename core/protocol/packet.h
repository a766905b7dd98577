// One SOCK_SEQPACKET message with its descriptors (SCM_RIGHTS), sent or received whole and without waiting:
// the system calls under Channel, apart from what the messages mean. On a SOCK_STREAM socket a piece is
// received likewise; what is sent there may be cut, unless it is a single byte.
// Runs in: the master and its children, the command line.
#pragma once

#include "core/base/unique_fd.h"

#include <cstddef>
#include <span>
#include <vector>

namespace drover {

enum class PacketSent {
    sent,
    would_block,  // the socket's buffer is full: it will be writable
    busy,  // no memory, or too many descriptors in flight (ETOOMANYREFS, unix(7)): nothing announces its end
    failed,  // errno says why
};

// Sends `head` and `body` as one message. At most max_message_fds descriptors, which are borrowed.
PacketSent send_packet(int socket, std::span<const std::byte> head, std::span<const std::byte> body,
                       std::span<const int> fds) noexcept;

enum class PacketReceived {
    received,
    would_block,
    end_of_file,  // or an empty message, which looks the same
    cut_data,     // longer than the buffer
    cut_fds,      // not all descriptors found room in this process (RLIMIT_NOFILE) or in the message
    failed,       // errno says why
};

struct ReceivedPacket {
    PacketReceived result = PacketReceived::failed;
    std::size_t size = 0;         // bytes of the buffer that were filled
    std::vector<UniqueFd> fds{};  // close-on-exec; with `cut_fds` those that found room
};

// Reads the beginning of the next message and leaves the message where it is. Bytes that were filled; 0 when
// there is none.
std::size_t peek_packet(int socket, std::span<std::byte> buffer) noexcept;

// Whether the peer has read all that was sent to it (unix(7), SIOCOUTQ). False when the kernel does not say.
bool all_read(int socket) noexcept;

ReceivedPacket receive_packet(int socket, std::span<std::byte> buffer);

}  // namespace drover
