// DatagramSocket is a worker's end of a udp listener: it receives in batches, gives each datagram to a
// handler, and sends the replies. The socket is the same one in all workers of the pool, so that what waits
// in its queue belongs to whoever reads next. While replies wait for the socket it reads nothing. Special
// states: not reading (before start, after stop or finish; it can still reply), closed. Owned by the worker,
// and kept alive by the return addresses that modules keep. Runs in: worker.
#pragma once

#include "core/base/unique_fd.h"
#include "core/counters/counter.h"
#include "core/loop/event_loop.h"
#include "worker/datagram/datagram.h"
#include "worker/datagram/datagram_output.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

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

class Configuration;
class Module;

// What a generation says of a udp listener.
struct DatagramSettings {
    unsigned listener = 0;         // index into the pool's list of listeners
    std::size_t max_datagram = 0;  // bytes
    Module* module = nullptr;      // that gets the datagrams
    DatagramCounters counters;
    std::shared_ptr<const Configuration> configuration;  // keeps the counters' cells
};

class DatagramSocket : public std::enable_shared_from_this<DatagramSocket> {
  public:
    // False: it could not handle it.
    using Handler = Callback<bool(Module*, const Datagram&)>;

    static constexpr unsigned batch = 32;  // of one turn, so that others are not kept waiting
    // Senders that never cease must not keep a worker from leaving.
    static constexpr unsigned finish_limit = 4096;
    static constexpr std::chrono::milliseconds finish_time{2000};

    // Loop and buffer outlive it until it is closed. Make it with std::make_shared. Takes the
    // socket, which is non-blocking. Throws std::system_error.
    DatagramSocket(EventLoop& loop, UniqueFd socket, DatagramBuffer& buffer, Handler handler);

    // Before it starts, and again when another generation calls it otherwise.
    void configure(DatagramSettings settings) noexcept { settings_ = std::move(settings); }
    // Its listener has this number now.
    void renumber(unsigned listener) noexcept { settings_.listener = listener; }
    unsigned listener() const noexcept { return settings_.listener; }
    const Address& address() const noexcept { return address_; }

    void start();
    // Reads no more: what waits is for others.
    void stop() noexcept;
    // Nobody reads after it: takes what waits, in turns, until nothing does, finish_limit have come, or
    // finish_time is over.
    void finish();
    // Replies that wait are dropped, and counted.
    void close() noexcept;
    bool reading() const noexcept { return reading_; }
    bool finishing() const noexcept { return turn_.started(); }
    bool closed() const noexcept { return !socket_; }
    // While it is open.
    std::size_t return_addresses() const noexcept;
    // There is, or may be, a reply to be sent.
    bool owes_replies() const noexcept;

    // As ReturnAddress::reply.
    bool reply(const DatagramPath& path, std::string_view bytes);

  private:
    class Batch;

    void on_ready(Readiness readiness);
    void on_turn();
    bool anything_waits() const noexcept;
    void receive();
    void deliver(const Batch& messages, unsigned index);
    // How many replies the kernel has refused.
    std::uint64_t send();
    void watch();

    EventLoop& loop_;
    UniqueFd socket_;
    Address address_;  // as bound
    DatagramBuffer& buffer_;
    Handler handler_;
    DatagramSettings settings_;
    DatagramOutput output_;
    std::int64_t finish_end_ms_ = 0;
    unsigned finish_left_ = 0;  // turns
    bool reading_ = false;
    bool gathering_ = false;  // a turn is under way: its replies leave at its end
    bool output_waits_ = false;
    FdWatch watch_;
    Timer turn_;  // while it finishes
};

}  // namespace drover
