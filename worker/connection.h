// Connection is the non-blocking byte stream that modules derive their connections from. A worker's event
// makes one read, one call of on_input, and one write of all that on_input wrote; an idle connection holds no
// buffer.
//
// A Connection is created by open_connection() and owns itself: it is deleted after close() or abort(), from
// the loop, never inside one of its own hooks. It counts itself in drover_connections_active. It must not be
// on the stack.
//
// Hand-over: a worker that leaves may give its connections to another. Each is asked by on_hand_over, outside
// of its other hooks; one that answers `now` is not read or written any more and goes on over there with all
// that it had.
//
// Special states: closing (output is still leaving, or lingering for the peer's end; no hook is called any
// more), draining (on_drain was called). Runs in: worker, on its one thread.
#pragma once

#include "core/deadline_wheel.h"
#include "core/event_loop.h"
#include "core/unique_fd.h"
#include "worker/handover_format.h"
#include "worker/module.h"
#include "worker/services.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover {

class HandoverGiver;

class Connection : private DeadlineEntry {
  public:
    // When a module has left this much input with its connection, no more is read until it consumes some.
    static constexpr std::size_t max_kept_input = 1024 * 1024;
    // Above this much unsent output writable() is false.
    static constexpr std::size_t output_high_mark = 256 * 1024;

    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    int fd() const noexcept { return socket_.get(); }

    // Appends to what will be sent. Within a hook it leaves with everything else after the hook; otherwise at
    // once. What the socket does not take is kept, and no input is read until it has left. After close() it
    // is dropped.
    void write(std::string_view bytes);
    // False while output waits or more than output_high_mark was written in this hook: a module that answers
    // pipelined requests stops consuming then; on_input comes again when the output has left.
    bool writable() const noexcept;
    // Consumption goes on with the input that was kept, as if more had arrived; for answers that were given
    // later.
    void resume_input();

    enum class Linger : std::uint8_t {
        if_unread,  // the peer has had its say: close at once unless something unread would reset the
                    // connection
        always,     // the peer may still be sending (an error reply in the middle of a request)
    };
    // on_drain was called: this connection should end as soon as that loses nothing.
    bool draining() const noexcept { return draining_; }

    // Sends what was written, then ends the connection without a reset: shuts down the sending side, discards
    // input until the peer's end or linger_time.
    void close(Linger linger = Linger::if_unread);
    // Ends it at once; unsent output and unread input are lost.
    void abort() noexcept;
    bool closing() const noexcept { return state_ != State::open; }

    // What on_hand_over answers.
    enum class Movable : std::uint8_t {
        now,    // `state` says all that the module's adopt must know; nothing may be written until it stays
                // after all
        later,  // busy: asked again after its next event
        never,  // drains
    };

    // A time limit, from now; on_time_limit is called when it passes. One per connection: setting moves it.
    void set_time_limit(std::chrono::milliseconds limit) noexcept { services_.deadlines.set(*this, limit); }
    void clear_time_limit() noexcept { services_.deadlines.clear(*this); }

    static constexpr std::chrono::milliseconds linger_time{2000};
    // How long the peer may take for the rest of the output; a time limit set after close() takes its place.
    static constexpr std::chrono::milliseconds flush_time{30000};

  protected:
    Connection(Services& services, Accepted accepted);
    ~Connection() override;

    Services& services() const noexcept { return services_; }
    unsigned listener() const noexcept { return listener_; }
    bool output_waits() const noexcept { return output_ != nullptr; }

    // Bytes from the peer: what was kept, then what has just arrived. Returns how many were consumed; the
    // rest is kept and comes first next time. The view is valid during the call only.
    virtual std::size_t on_input(std::string_view input) = 0;
    // The peer has ended its side. Input kept unconsumed stays lost. Default: close().
    virtual void on_end_of_input() { close(); }
    // Output that had to wait has left.
    virtual void on_sent() {}
    // The time limit has passed. Default: abort().
    virtual void on_time_limit() { abort(); }
    virtual Movable on_hand_over(std::string& /*state*/) { return Movable::never; }
    // The worker drains: end as soon as that loses nothing. Default: nothing (the drain timeout ends it).
    virtual void on_drain() {}

  private:
    friend class ConnectionList;
    template <class T, class... Args>
    friend T& open_connection(Services& services, Accepted accepted, Args&&... args);

    friend class HandoverGiver;
    enum class State : std::uint8_t { open, flushing, lingering, moving, dead };
    struct Buffer {
        std::string bytes;
        std::size_t sent = 0;

        std::string_view unsent() const noexcept { return std::string_view(bytes).substr(sent); }
    };

    void start();
    // connection_handover.cpp. The giver's side: begin_moving stops reading and says what there is; undone by
    // stay(), ended by moved().
    bool begin_moving(CarriedConnection& carried);
    void stay();
    void moved() noexcept { retire(); }
    // The receiver's side: reading begins when the acknowledgement is under way.
    void carry_on(const CarriedConnection& carried);
    void begin_adopted();
    void drain();

    void on_ready(Readiness readiness);
    void on_deadline() final;
    template <class Hook>
    void run_hook(Hook hook) noexcept;
    void read_input();
    void deliver(std::string_view fresh);
    void keep_input(std::string_view input, std::size_t consumed);
    void flush_outbox();
    void send_waiting();
    void settle();
    void finish_close();
    void discard_input();
    void update_interest();
    void retire() noexcept;

    Services& services_;
    Connection* next_ = nullptr;  // in the ConnectionList
    Connection* previous_ = nullptr;
    FdWatch watch_;
    UniqueFd socket_;
    std::uint16_t listener_;
    State state_ = State::open;
    State resume_state_ = State::open;  // while moving
    Linger linger_ = Linger::if_unread;
    bool adopted_ = false;
    bool draining_ = false;
    bool end_of_input_ = false;
    std::uint32_t moving_limit_ms_ = 0;   // what was left of the time limit when it began to move; 0: none
    std::unique_ptr<std::string> input_;  // kept; null when there is none
    std::unique_ptr<Buffer> output_;      // waits for the socket; null when there is none
};

// All connections of a worker, and the buffers they share. Owned by the worker.
class ConnectionList {
  public:
    using ClosedHandler = Callback<void()>;
    explicit ConnectionList(EventLoop& loop, ClosedHandler on_closed = {});
    ~ConnectionList();
    ConnectionList(const ConnectionList&) = delete;
    ConnectionList& operator=(const ConnectionList&) = delete;

    std::size_t size() const noexcept { return size_; }
    // Tells each connection that the worker drains.
    void drain();
    bool draining() const noexcept { return draining_; }
    // Ends every one at once. Not from within a hook.
    void abort_all() noexcept;

    // Who is told when a connection may have become movable, or is gone; null: nobody.
    void set_giver(HandoverGiver* giver) noexcept { giver_ = giver; }
    // Walks over all connections, for a giver.
    void begin_offering() noexcept { offering_ = first_; }
    Connection* next_to_offer() noexcept;
    void offer_again(Connection& connection) noexcept { offering_ = &connection; }
    // Connections that were taken over since the last call: reading begins, or they are let go without a
    // word.
    std::size_t begin_adopted();
    void drop_adopted() noexcept;

    // After a hot reload: a connection of listener i is one of listener new_index[i] now.
    void renumber_listeners(const std::vector<unsigned>& new_index) noexcept;

    void set_active_gauge(Gauge gauge) noexcept { active_ = gauge; }
    // What one read can take.
    static constexpr std::size_t scratch_size = 64 * 1024;

  private:
    friend class Connection;
    void add(Connection& connection) noexcept;
    void add_adopted(Connection& connection);
    void remove(Connection& connection) noexcept;
    void bury(Connection& connection) noexcept;
    void delete_dead() noexcept;

    Connection* first_ = nullptr;
    Connection* dead_ = nullptr;        // closed, deleted from the loop
    Connection* walking_ = nullptr;     // next one of drain(), kept right when connections go meanwhile
    Connection* offering_ = nullptr;    // next one of next_to_offer()
    std::vector<Connection*> adopted_;  // not begun yet
    HandoverGiver* giver_ = nullptr;
    Connection* in_hook_ = nullptr;  // whose output outbox_ is
    std::size_t size_ = 0;
    bool draining_ = false;
    bool in_event_ = false;  // delete_dead() comes at the event's end
    Gauge active_;
    ClosedHandler on_closed_;
    Timer delete_soon_;
    std::unique_ptr<char[]> scratch_;  // input of the connection being read
    std::string outbox_;               // output of the connection in whose hook we are
};

// Makes a T (derived from Connection) that owns itself, and starts reading.
template <class T, class... Args>
T& open_connection(Services& services, Accepted accepted, Args&&... args) {
    auto connection = std::make_unique<T>(services, std::move(accepted), std::forward<Args>(args)...);
    static_cast<Connection&>(*connection).start();
    return *connection.release();
}

}  // namespace drover
