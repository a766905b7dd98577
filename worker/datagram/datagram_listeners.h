// DatagramListeners are a worker's udp listeners. All workers of the pool read the same sockets: a worker
// that leaves stops reading, and another one reads what waits. Sockets of listeners that a hot reload took
// away are read to their end here, and closed when no reply is owed any more. Special state: finishing (the
// worker leaves). Owned by Intake. Runs in: worker.
#pragma once

#include "core/log/log.h"
#include "worker/datagram/datagram_socket.h"

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace drover {

class CounterRow;

class DatagramListeners {
  public:
    // Made while a hot reload is prepared. By number of the next generation; null where that has no udp
    // listener (settings, too), and where its socket is open already.
    struct Next {
        std::vector<std::shared_ptr<DatagramSocket>> sockets;
        std::vector<DatagramSettings> settings;
    };

    static DatagramSettings settings(const std::shared_ptr<const Configuration>& configuration,
                                     unsigned listener, Module* module, const CounterRow& counters);

    // `on_finished` is called when, after finish(), the last reply has been given.
    DatagramListeners(EventLoop& loop, Log& log, Callback<void()> on_finished);

    // A socket that reads nothing yet. Throws std::system_error.
    std::shared_ptr<DatagramSocket> open(UniqueFd socket);
    // Puts sockets and settings in place. `new_index` is what ListenerNames::find_again said. They read when
    // start() is called next.
    void take_over(const std::vector<unsigned>& new_index, Next next);
    void start();
    // Takes what waits on the sockets whose listeners take_over() has left out.
    void finish_gone();

    // Reads no more. Sockets of which `others_read` is not true are read to their end: nobody comes after
    // this worker.
    void finish(const std::function<bool(unsigned listener)>& others_read);
    // Replies are owed, or sockets are being read to their end.
    bool busy() const noexcept { return replies_timer_.started(); }
    void close() noexcept;

    std::uint32_t return_addresses() const noexcept;

  private:
    bool on_datagram(Module* module, const Datagram& datagram);
    void on_replies_time();
    bool settle() noexcept;
    bool close_gone() noexcept;

    EventLoop& loop_;
    Log& log_;
    Callback<void()> on_finished_;
    DatagramBuffer buffer_;
    std::vector<std::shared_ptr<DatagramSocket>> sockets_;
    std::vector<std::shared_ptr<DatagramSocket>> gone_;  // a hot reload has taken their listeners away
    Timer replies_timer_;
    std::int64_t failure_said_ms_ = 0;
    bool finishing_ = false;
};

}  // namespace drover
