// DatagramSocket is a worker's end of a udp listener: it receives in batches, gives each datagram to a
// handler, and sends the replies. The socket is the same one in all workers of the pool, so that what waits
// in its queue belongs to whoever reads next. While replies wait for the socket it reads nothing. Special
// states: not reading (before start, after finish; it can still reply), closed. Owned by the worker, and kept
// alive by the return addresses that modules keep. Runs in: worker.
#pragma once

#include "core/counter.h"
#include "core/event_loop.h"
#include "core/unique_fd.h"
#include "worker/datagram.h"
#include "worker/datagram_output.h"

#include <cstddef>
#include <memory>
#include <string_view>

namespace drover {

// Room for one batch, shared by all sockets of a worker. Pages that no datagram ever needed take no memory.
class DatagramBuffer {
  public:
    // `size` bytes at least; what was given before is not valid any more if they are more.
    std::byte* get(std::size_t size);

  private:
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t size_ = 0;
};

struct DatagramCounters {
    Counter received;
    Counter received_bytes;
    Counter sent;
    Counter sent_bytes;
    Counter truncated;
    Counter failed;
    Counter replies_dropped;
};

class DatagramSocket : public std::enable_shared_from_this<DatagramSocket> {
  public:
    // False: it could not handle it.
    using Handler = Callback<bool(const Datagram&)>;

    static constexpr unsigned batch = 32;           // of one turn, so that others are not kept waiting
    static constexpr unsigned finish_limit = 4096;  // senders that never cease must not keep a worker

    // Loop and buffer outlive it until it is closed. Make it with std::make_shared. Takes the
    // socket, which is non-blocking. Throws std::system_error.
    DatagramSocket(EventLoop& loop, UniqueFd socket, DatagramBuffer& buffer, Handler handler);

    // Before it starts, and again when another generation calls it otherwise.
    void configure(unsigned listener, std::size_t max_datagram, const DatagramCounters& counters) noexcept {
        listener_ = listener;
        max_datagram_ = max_datagram;
        counters_ = counters;
    }
    unsigned listener() const noexcept { return listener_; }
    const Address& address() const noexcept { return address_; }

    void start();
    // Reads what waits, up to finish_limit, and no more from then on. Others read on.
    void finish();
    void close() noexcept;
    bool reading() const noexcept { return reading_; }
    bool closed() const noexcept { return !socket_; }
    // There is, or may be, a reply to be sent: somebody keeps a return address.
    bool owes_replies() const noexcept;

    bool reply(const DatagramPath& path, std::string_view bytes);

  private:
    class Batch;

    void on_ready(Readiness readiness);
    unsigned receive();
    void deliver(const Batch& messages, unsigned index);
    void send();
    void watch();

    EventLoop& loop_;
    UniqueFd socket_;
    Address address_;  // as bound
    DatagramBuffer& buffer_;
    Handler handler_;
    DatagramCounters counters_;
    DatagramOutput output_;
    std::size_t max_datagram_ = 0;
    unsigned listener_ = 0;
    bool reading_ = false;
    bool gathering_ = false;  // a turn is under way: its replies leave at its end
    bool output_waits_ = false;
    FdWatch watch_;
};

}  // namespace drover
