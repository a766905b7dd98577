// ConnectionPoller watches the sockets of a worker's connections: an epoll instance of its own, which the
// worker's loop watches as one descriptor. So an idle connection costs no registration in the loop (160 bytes
// and more with libevent), and a change of interest is one system call. Owned by the ConnectionList. Runs in:
// worker.
#pragma once

#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"

namespace drover {

class Connection;

class ConnectionPoller {
  public:
    // A connection that ends inside of one is called no more, but must not be deleted before the batch's end.
    using ReadyHandler = Callback<void(Connection&, Readiness)>;
    using BatchHandler = Callback<void()>;

    // Throws std::system_error when the kernel gives no epoll descriptor. Begins to watch with the first
    // socket.
    ConnectionPoller(EventLoop& loop, ReadyHandler on_ready, BatchHandler on_batch_end);
    ConnectionPoller(const ConnectionPoller&) = delete;
    ConnectionPoller& operator=(const ConnectionPoller&) = delete;

    // Level-triggered. An error or a hang-up is reported also to those who are interested in nothing.
    // False when the kernel refuses (errno says why): too many watches of the user, no memory, a descriptor
    // that cannot be watched. It concerns that connection alone.
    [[nodiscard]] bool add(int fd, Interest interest, Connection& connection) noexcept;
    [[nodiscard]] bool change(int fd, Interest interest, Connection& connection) noexcept;
    // Needed before a close when another process holds the same socket: it would be reported for ever
    // (epoll(7)).
    void remove(int fd) noexcept;

  private:
    // So that a batch does not hold up the loop's other events for long.
    static constexpr int max_batch = 128;

    void on_events(Readiness readiness);
    bool control(int operation, int fd, Interest interest, Connection& connection) noexcept;

    EventLoop& loop_;
    ReadyHandler on_ready_;
    BatchHandler on_batch_end_;
    UniqueFd epoll_;
    FdWatch watch_;
};

}  // namespace drover
