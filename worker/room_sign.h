// RoomSign is what the master is shown of a worker's room: "full" at once; "room again" when an eighth of the
// limit is free, and at most once an interval: a worker with a small limit may fill and empty a thousand
// times a second. Owned by the worker. Runs in: worker.
#pragma once

#include "core/loop/event_loop.h"

#include <chrono>
#include <cstdint>

namespace drover {

class RoomSign {
  public:
    static constexpr std::chrono::milliseconds interval{20};

    // `on_change` is called whenever full() has changed.
    RoomSign(EventLoop& loop, Callback<void()> on_change);

    bool full() const noexcept { return full_; }
    // After each change of one of them.
    void update(std::uint64_t connections, std::uint64_t limit);

  private:
    void show_room();
    bool has_room() const noexcept;

    Callback<void()> on_change_;
    Timer timer_;  // since "room again" was shown
    std::uint64_t connections_ = 0;
    std::uint64_t limit_ = 0;
    bool full_ = false;
};

}  // namespace drover
