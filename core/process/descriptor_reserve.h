// DescriptorReserve keeps a few descriptors back for what must not fail when a process is at its limit
// (RLIMIT_NOFILE): a Room, while it lives, gives their places to whoever opens something.
// Runs in: the master and its workers.
#pragma once

#include "core/base/unique_fd.h"

#include <cstddef>
#include <vector>

namespace drover {

class DescriptorReserve {
  public:
    explicit DescriptorReserve(std::size_t count);

    class Room {
      public:
        explicit Room(DescriptorReserve& reserve) noexcept : reserve_(reserve) { reserve_.kept_.clear(); }
        ~Room() { reserve_.fill(); }
        Room(const Room&) = delete;
        Room& operator=(const Room&) = delete;

      private:
        DescriptorReserve& reserve_;
    };

  private:
    // As far as there are places; the next Room's end fills the rest.
    void fill() noexcept;

    std::size_t count_;
    std::vector<UniqueFd> kept_;
};

}  // namespace drover
