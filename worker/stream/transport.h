// Transport moves the bytes of one connection between the worker and the client's socket: it is the one place
// that receives from such a socket and sends to it. It never waits. Plain now; a transport that encrypts
// answers the same questions otherwise, and so costs a plain connection nothing. Owned by a Connection. Runs
// in: worker.
#pragma once

#include "core/base/unique_fd.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <sys/uio.h>

namespace drover {

class BoundedSendfile;
struct FileRange;

// What the bytes on a socket are wrapped in. It travels with a connection that is handed over.
enum class TransportKind : std::uint8_t { plain = 0 };

class Transport {
  public:
    explicit Transport(UniqueFd socket) noexcept : socket_(std::move(socket)) {}

    int fd() const noexcept { return socket_.get(); }
    TransportKind kind() const noexcept { return TransportKind::plain; }  // carried in a hand-over
    // The socket must be in no poller, if another process may hold it, too.
    void close() noexcept { socket_.reset(); }

    struct Received {
        enum class What : std::uint8_t { bytes, nothing_yet, end, broken };
        What what;
        std::size_t size = 0;  // of `bytes`
        bool all = false;      // nothing more was there
    };
    Received receive(std::span<char> into) noexcept;
    // Whether input has come that was not received. Asks the kernel.
    enum class Unread : std::uint8_t { none, some, ended };  // ended: the peer's end, or an error
    Unread unread() const noexcept;

    // How many bytes the socket took, 0 when it takes none now; nothing when the connection is broken.
    using Taken = std::optional<std::size_t>;
    Taken send(std::string_view bytes) noexcept;
    // `file_follows`: the last part and the beginning of a file leave in one packet.
    Taken send(std::span<const iovec> parts, bool file_follows) noexcept;
    // The first `size` bytes of the range; a file that does not have them breaks the connection. `bounded`:
    // for a socket that another process may hold, too; null for a private one.
    Taken send_file(const FileRange& range, std::size_t size, BoundedSendfile* bounded) noexcept;

    // Bytes that are with the kernel and that the peer has not acknowledged (tcp(7), SIOCOUTQ); 0 when it
    // does not say.
    std::uint64_t unacknowledged_bytes() const noexcept;
    // Ends the sending side: the peer reads its end of file.
    void end_output() noexcept;
    // close(2) waits for no one, whatever another process has set (SO_LINGER).
    void forbid_linger() noexcept;

  private:
    UniqueFd socket_;
};

}  // namespace drover
