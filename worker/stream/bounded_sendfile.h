// BoundedSendfile is sendfile(2) to a socket that another process may hold, too, and make blocking at any
// moment. sendfile(2) cannot be told not to wait, as send(2) can: a timer's signal ends a call that does.
// Special state: copying, after the first such call, after several that took as long for other reasons, and
// where the kernel has no timer to give; from then on it reads and sends, which never waits. Owned by a
// ConnectionList. Runs in: worker, on its loop's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include <sys/types.h>
#include <time.h>

namespace drover {

class BoundedSendfile {
  public:
    static constexpr std::chrono::milliseconds longest_wait{100};

    BoundedSendfile() noexcept = default;
    ~BoundedSendfile();
    BoundedSendfile(const BoundedSendfile&) = delete;
    BoundedSendfile& operator=(const BoundedSendfile&) = delete;

    // As sendfile(2) to a non-blocking socket; may send less than the socket would take. EINTR: the timer
    // has ended the call.
    ssize_t send(int socket, int file, off_t offset, std::size_t size) noexcept;

    bool copies() const noexcept { return state_ == State::copying; }

  private:
    enum class State : std::uint8_t { unused, bounded, copying };

    State begin() noexcept;
    void note_wait(int socket) noexcept;
    void set_timer(std::chrono::milliseconds wait) noexcept;

    timer_t timer_{};
    State state_ = State::unused;
    unsigned waits_ = 0;  // for other reasons
};

}  // namespace drover
