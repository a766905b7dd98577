// ConnectionList is all connections of a worker, what they share (the poller, the buffers of the one that is
// being served), and who walks over them. Owned by the worker. Runs in: worker.
#pragma once

#include "core/counters/counter.h"
#include "core/loop/event_loop.h"
#include "worker/stream/bounded_sendfile.h"
#include "worker/stream/connection_output.h"
#include "worker/stream/connection_poller.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace drover {

class Connection;
class HandoverGiver;

class ConnectionList {
  public:
    using ClosedHandler = Callback<void()>;
    explicit ConnectionList(EventLoop& loop, ClosedHandler on_closed = {});
    ~ConnectionList();
    ConnectionList(const ConnectionList&) = delete;
    ConnectionList& operator=(const ConnectionList&) = delete;

    std::size_t size() const noexcept { return size_; }
    // Tells each connection that the worker drains, and each that comes later.
    void drain();
    bool draining() const noexcept { return draining_; }
    // Ends those that drained already at the last call, however it came; returns how many.
    std::size_t end_overdue() noexcept;
    // Whether one of them is idle.
    bool any_idle() const noexcept;
    // Ends up to `most` idle ones, those first whose time limit is nearest. Not from within a hook. How many.
    std::size_t displace(std::size_t most);
    // Ends every one at once. Not from within a hook.
    void abort_all() noexcept;

    // The giver is told when a connection may have become movable, or is gone; null: there is no giver.
    void set_giver(HandoverGiver* giver) noexcept { giver_ = giver; }
    // Walks over all connections, for a giver.
    void begin_offering() noexcept { offering_ = first_; }
    Connection* next_to_offer() noexcept;
    void offer_again(Connection& connection) noexcept { offering_ = &connection; }
    // Connections that were taken over since the last call are one batch, of this number. They are held: no
    // byte is read or sent, until they begin; or they are let go without a word.
    std::uint64_t close_batch();
    // How many there are since; those behind the first `count` are let go.
    std::size_t open_batch_size() const noexcept;
    void cut_open_batch(std::size_t count) noexcept;
    std::size_t begin_adopted(std::uint64_t batch);
    void drop_adopted(std::uint64_t batch) noexcept;

    // Whether that connection's hook is running, and no other one inside of it.
    bool in_hook(const Connection& connection) const noexcept { return in_hook_ == &connection; }

    // After a hot reload: a connection of listener i is one of listener new_index[i] now.
    void renumber_listeners(const std::vector<unsigned>& new_index) noexcept;

    void set_active_gauge(Gauge gauge) noexcept { active_ = gauge; }
    void set_byte_counters(Counter received, Counter sent) noexcept {
        received_ = received;
        sent_ = sent;
    }
    // When the events came that are being dealt with, or the last ones: CLOCK_MONOTONIC, microseconds.
    std::int64_t events_at_us() const noexcept { return events_at_us_; }
    // What one read can take.
    static constexpr std::size_t scratch_size = 64 * 1024;

  private:
    friend class Connection;
    // What the outbox gives back after a large reply, and what it keeps.
    static constexpr std::size_t max_kept_outbox = 256 * 1024;
    // Adopted together, answered together.
    struct Batch {
        std::uint64_t number = 0;
        std::vector<Connection*> connections;  // null: gone meanwhile
    };

    void begin_events() noexcept;
    void on_ready(Connection& connection, Readiness readiness);
    void add(Connection& connection) noexcept;
    void add_fresh(Connection& connection);
    void begin_fresh();
    void add_adopted(Connection& connection);
    std::vector<Connection*> take_batch(std::uint64_t number) noexcept;
    void remove(Connection& connection) noexcept;
    void bury(Connection& connection) noexcept;
    void delete_dead() noexcept;

    EventLoop& loop_;
    Connection* first_ = nullptr;
    Connection* dead_ = nullptr;      // closed, deleted from the loop
    Connection* walking_ = nullptr;   // next one of drain(), kept right when connections go meanwhile
    Connection* offering_ = nullptr;  // next one of next_to_offer()
    std::vector<Connection*> fresh_;  // opened in this turn of the loop; null: gone meanwhile
    std::vector<Batch> adopted_;      // not begun yet; the last one is open
    std::uint64_t batches_ = 0;
    HandoverGiver* giver_ = nullptr;
    Connection* in_hook_ = nullptr;  // whose output outbox_ is
    std::size_t size_ = 0;
    bool draining_ = false;
    bool in_event_ = false;  // delete_dead() comes at the event's end
    std::int64_t events_at_us_ = 0;
    Gauge active_;
    Counter received_;  // bytes
    Counter sent_;
    ClosedHandler on_closed_;
    Timer delete_soon_;
    Timer begin_soon_;
    ConnectionPoller poller_;
    std::unique_ptr<char[]> scratch_;   // input of the connection being read
    BoundedSendfile bounded_sendfile_;  // for connections that another worker may hold, too
    ConnectionOutput outbox_;           // output of the connection in whose hook we are
};

}  // namespace drover
