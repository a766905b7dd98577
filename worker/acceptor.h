// Acceptor takes connections from one listening socket, in batches, and hands them to the worker. It pauses
// itself for a moment when the process or the system has no descriptor left (accept would spin), and when
// told to. Special states: paused (in no loop, the kernel keeps the queue), closed. Runs in: worker.
#pragma once

#include "core/event_loop.h"
#include "core/unique_fd.h"
#include "worker/module.h"

namespace drover {

class Acceptor {
  public:
    using AcceptHandler = Callback<void(Accepted)>;
    // accept4 failed for want of a resource (EMFILE, ENFILE, ENOBUFS, ENOMEM); it is tried again after
    // retry_delay.
    using ShortageHandler = Callback<void(int error)>;

    static constexpr int batch = 64;  // so that one busy listener does not keep others waiting
    static constexpr int finish_limit =
        65536;  // clients that never cease must not keep a worker from leaving
    static constexpr std::chrono::milliseconds retry_delay{100};

    // Takes the listening socket; it must be non-blocking already (the flag lives in the shared open file
    // description).
    Acceptor(EventLoop& loop, UniqueFd socket, unsigned listener, AcceptHandler on_accept,
             ShortageHandler on_shortage);

    void start();
    void pause() noexcept;
    bool accepting() const noexcept { return watch_.started(); }
    // Accepts what is queued until nothing is, then closes the socket.
    void finish();
    void close() noexcept;
    unsigned listener() const noexcept { return listener_; }

  private:
    enum class Outcome { accepted, skipped, empty, shortage };

    void on_ready(Readiness readiness);
    Outcome accept_one();

    EventLoop& loop_;
    UniqueFd socket_;
    FdWatch watch_;
    Timer retry_;
    unsigned listener_;
    AcceptHandler on_accept_;
    ShortageHandler on_shortage_;
};

}  // namespace drover
