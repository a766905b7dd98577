// DatagramOutput is the replies of one udp socket that have not left: they are gathered during a turn, leave
// together, and those that the socket does not take are kept, up to a limit. Nothing is allocated after the
// first one. Runs in: worker.
#pragma once

#include "worker/datagram/datagram.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace drover {

class DatagramOutput {
  public:
    static constexpr std::size_t max_bytes = std::size_t{256} * 1024;
    static constexpr std::size_t max_replies = 256;

    // Keeps a copy. False: there is no room.
    bool add(const DatagramPath& path, std::string_view bytes);
    bool empty() const noexcept { return replies_.empty(); }
    std::size_t size() const noexcept { return replies_.size() - first_; }
    void clear() noexcept;

    struct Result {
        std::uint64_t sent = 0;
        std::uint64_t sent_bytes = 0;
        std::uint64_t refused = 0;  // by the kernel: too long, no way there, forbidden
        bool waits = false;         // the rest will be taken when the socket is writable
    };
    // Never waits. All but EAGAIN concerns the one reply that it hits.
    Result send(int socket);

  private:
    struct Reply {
        DatagramPath path;
        std::uint32_t offset = 0;
        std::uint32_t size = 0;
    };
    class Batch;

    bool has_room(std::size_t size) const noexcept;
    void move_down() noexcept;

    std::unique_ptr<std::byte[]> bytes_;  // max_bytes
    std::size_t used_ = 0;
    std::vector<Reply> replies_;
    std::size_t first_ = 0;  // of those that have not left
};

}  // namespace drover
