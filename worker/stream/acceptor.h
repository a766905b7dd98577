// Acceptor takes connections from one listening socket, in batches, and hands them to the worker. It pauses
// itself for a moment when the process or the system has no descriptor left (accept would spin), and when
// told to. Special states: paused (in no loop, the kernel keeps the queue), closed. Runs in: worker.
#pragma once

#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"
#include "worker/module/module.h"

namespace drover {

class Acceptor {
  public:
    using AcceptHandler = Callback<void(Accepted)>;
    // accept4 failed for want of a resource (EMFILE, ENFILE, ENOBUFS, ENOMEM); it is tried again after
    // retry_delay.
    using ShortageHandler = Callback<void(int error)>;

    // It has closed its socket: after finish(), finish_when_quiet(), or when the socket turned out to be
    // unusable.
    using ClosedHandler = Callback<void()>;

    static constexpr int batch = 64;  // so that one busy listener does not keep others waiting
    static constexpr int finish_limit =
        65536;  // clients that never cease must not keep a worker from leaving
    static constexpr std::chrono::milliseconds quiet_time{50};
    static constexpr std::chrono::milliseconds quiet_limit{2000};
    static constexpr std::chrono::milliseconds retry_delay{100};

    // Takes the listening socket, which others may hold, too. Makes it non-blocking before each batch.
    Acceptor(EventLoop& loop, UniqueFd socket, unsigned listener, AcceptHandler on_accept,
             ShortageHandler on_shortage, ClosedHandler on_closed = {});

    void start();
    void pause() noexcept;
    bool accepting() const noexcept { return watch_.started(); }
    // Accepts what is queued until nothing is, then closes the socket.
    void finish();
    // Goes on accepting until nothing has come for `quiet`, at the longest for quiet_limit, then closes:
    // handshakes that are under way get their connection. The kernel has been told to begin no new ones
    // (Listener::refuse_new).
    void finish_when_quiet(std::chrono::milliseconds quiet = quiet_time);
    // Closes then, whatever happens; what is queued is taken first.
    void close_after(std::chrono::milliseconds time);
    void close() noexcept;
    bool closed() const noexcept { return !socket_; }
    unsigned listener() const noexcept { return listener_; }
    void set_listener(unsigned listener) noexcept { listener_ = listener; }

  private:
    enum class Outcome { accepted, skipped, empty, shortage };

    void on_ready(Readiness readiness);
    Outcome accept_one();
    void make_non_blocking() noexcept;
    void on_quiet();

    EventLoop& loop_;
    UniqueFd socket_;
    FdWatch watch_;
    Timer retry_;
    Timer quiet_timer_;
    std::int64_t quiet_end_ms_ = 0;  // of quiet_limit
    std::chrono::milliseconds quiet_{quiet_time};
    unsigned listener_;
    AcceptHandler on_accept_;
    ShortageHandler on_shortage_;
    ClosedHandler on_closed_;
};

}  // namespace drover
