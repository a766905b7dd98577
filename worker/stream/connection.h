// Connection is the non-blocking byte stream that modules derive their connections from; what a module keeps
// for a connection are the members of its own class. A worker's event makes one read, one call of on_input,
// and one write of all that on_input wrote; an idle connection holds no buffer.
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

#include "core/loop/deadline_wheel.h"
#include "core/net/address.h"
#include "worker/module/services.h"
#include "worker/stream/accepted.h"
#include "worker/stream/file_range.h"
#include "worker/stream/transport.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace drover {

class BoundedSendfile;
class ConnectionOutput;
class HandoverGiver;

class Connection : private DeadlineEntry {
  public:
    // When a module has left this much input with its connection, no more is read until it consumes some.
    static constexpr std::size_t max_kept_input = 1024 * 1024;
    // From this much unsent output on writable() is false ...
    static constexpr std::size_t output_high_mark = 256 * 1024;
    // ... until less than this is left.
    static constexpr std::size_t output_low_mark = 64 * 1024;

    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // A duplicate of it may be kept: from this call on the connection's end costs a system call more, which
    // takes the socket from the poller. It stays non-blocking, and is not closed by others.
    int fd() noexcept {
        if (sharing_ == Sharing::sole) sharing_ = Sharing::shared;
        return transport_.fd();
    }
    // Asked of the kernel at each call; none (AF_UNSPEC) when it does not know any more. An IPv4 client of a
    // listener for both has an IPv4 address.
    Address peer_address() const;
    Address local_address() const;

    // Appends to what will be sent. Within a hook it leaves with everything else after the hook; otherwise at
    // once. Bytes that the socket does not take are kept, and no input is read until they have left. After
    // close() or end_output() the bytes are dropped.
    void write(std::string_view bytes);
    // The same without a copy, as long as the socket takes it at once: `bytes` must stay as they are until
    // the hook returns, or, outside of hooks, until the call does. Pays from a few kilobytes on.
    void write_borrowed(std::string_view bytes);
    // A part of a regular file goes out behind what was written, by sendfile(2). When the file turns out to
    // be shorter the connection ends.
    void send_file(FileRange range);
    // False from the high mark on, files counted, until on_writable: a module that answers pipelined requests
    // stops consuming meanwhile; on_input comes again then.
    bool writable() const noexcept;
    // No input is read or delivered until resume_input(). A reset is noticed all the same.
    void pause_input();
    // Ends a pause. Consumption goes on with the input that was kept, as if more had arrived: also for
    // answers that were given later.
    void resume_input();
    // Sends what was written, then ends the sending side alone: the peer reads its end of file, input goes
    // on.
    void end_output();

    enum class Linger : std::uint8_t {
        if_unread,  // the peer has had its say: close at once unless something unread would reset the
                    // connection
        always,     // the peer may still be sending (an error reply in the middle of a request)
    };
    // on_drain was called: this connection should end as soon as that loses nothing.
    bool draining() const noexcept { return drain_ != Drain::no; }

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
    void set_time_limit(std::chrono::milliseconds limit) noexcept {
        expired_ = false;
        services_.deadlines.set(*this, limit);
    }
    void clear_time_limit() noexcept {
        expired_ = false;
        services_.deadlines.clear(*this);
    }

    static constexpr std::chrono::milliseconds linger_time{2000};
    // How long the peer may take for the rest of the output; a time limit set after close() takes its place.
    static constexpr std::chrono::milliseconds flush_time{30000};

  protected:
    Connection(Services& services, Accepted accepted);
    ~Connection() override;

    Services& services() const noexcept { return services_; }
    unsigned listener() const noexcept { return listener_; }
    bool output_waits() const noexcept { return output_ != nullptr; }
    bool input_ended() const noexcept { return end_of_input_; }
    // Nothing more can leave.
    bool gone() const noexcept { return state_ == State::dead; }
    bool input_waits() const noexcept { return input_ != nullptr; }
    // Bytes that were written and are not with the kernel; of a connection that is gone: that never left.
    std::uint64_t unsent_bytes() const noexcept;
    // Bytes that are with the kernel and that the peer has not acknowledged (tcp(7), SIOCOUTQ). Asks the
    // kernel; 0 when it does not say.
    std::uint64_t unacknowledged_bytes() const noexcept;
    // Whether the socket has input that was not read yet. Asks the kernel.
    bool input_unread() const noexcept;
    // When the event came by which on_input is called: CLOCK_MONOTONIC, microseconds. Costs no look at the
    // clock.
    std::int64_t event_at_us() const noexcept;
    // Runs `action` as a hook, for what happens outside of them (a timer, another connection's hook): all
    // that it writes leaves in one piece.
    template <class Action>
    void in_hook(Action action) {
        if (in_own_hook()) return action();
        if (state_ != State::open) return fence(action);
        run_hook(action);
        deliver_resumed();
    }

    // Bytes from the peer: what was kept, then what has just arrived. Returns how many were consumed; the
    // rest is kept and comes first next time. The view is valid during the call only.
    virtual std::size_t on_input(std::string_view input) = 0;
    // The peer has ended its side. Input kept unconsumed stays lost. Default: close().
    virtual void on_end_of_input() { close(); }
    // Output was above the high mark and is below the low one.
    virtual void on_writable() {}
    // Output that had to wait has left.
    virtual void on_sent() {}
    // Some of the output that waits has left, also after close(): the place to move a time limit, and no
    // hook: nothing else may be done here.
    virtual void on_progress() noexcept {}
    // At the end of each hook, and when what waited has left, also after close() and abort(): unsent_bytes()
    // says how much is not with the kernel. No hook either.
    virtual void on_flushed() noexcept {}
    // The time limit has passed of a connection that is closing and whose output waits: true when it has been
    // given more. No hook: nothing else may be done here.
    virtual bool on_flush_limit() noexcept { return false; }
    // The time limit has passed. Default: abort().
    virtual void on_time_limit() { abort(); }
    virtual Movable on_hand_over(std::string& /*state*/) { return Movable::never; }
    // The same of a connection that is closing and has output that waits: the state, which may be empty, is
    // given to adopt as well.
    virtual Movable on_hand_over_closing(std::string& /*state*/) { return Movable::now; }
    // Another worker has it, or may have it: what `state` told is that one's to account for. No hook; the
    // destructor follows.
    virtual void on_disowned() noexcept {}
    // Whether nothing is under way and the peer can at any time find the connection closed, as between two
    // requests: when every worker of the pool holds max_connections, those of such connections whose time
    // limit is nearest make room for new ones. No hook: nothing may be done here. Default: it never is.
    virtual bool idle() const noexcept { return false; }
    // The worker drains: end as soon as that loses nothing. Default: nothing (the drain timeout ends it).
    virtual void on_drain() {}

  private:
    friend class ConnectionList;
    template <class T, class... Args>
    friend T& open_connection(Services& services, Accepted accepted, Args&&... args);

    friend class HandoverGiver;

    enum class State : std::uint8_t { open, flushing, lingering, moving, dead };
    enum class Watch : std::uint8_t {
        off,
        on,    // the poller has the socket
        held,  // adopted, and the acknowledgement has not left yet
    };
    enum class Sharing : std::uint8_t {
        sole,
        shared,   // the module, or a worker that was offered it, may hold the socket, too
        adopted,  // so may the worker that gave it
    };
    enum class Drain : std::uint8_t {
        no,
        told,
        overdue,  // and when ConnectionList::end_overdue looked last, it had been told already
    };
    enum class OutputEnd : std::uint8_t { open, asked_for, done };  // by end_output()

    void start();
    // The giver's side: begin_moving stops reading and says what there is; undone by
    // stay(), or by stay_for_good() when the receiver has refused it; ended by moved().
    bool begin_moving(CarriedConnection& carried);
    void stay();
    void stay_for_good();
    void moved() noexcept { retire(); }
    // The receiver's side: nothing is read or sent before the acknowledgement has left.
    void carry_on(const CarriedConnection& carried);
    void begin_adopted();
    void drain();
    bool expendable() const noexcept;

    void begin_fresh();
    void on_ready(Readiness readiness);
    void on_deadline() final;
    template <class Action>
    void fence(Action action) noexcept;
    template <class Hook>
    void run_hook(Hook hook) noexcept;
    void begin_hook(Connection*& outer);
    void fail_hook() noexcept;
    void end_hook(Connection* outer) noexcept;
    void read_input();
    void deliver(std::string_view fresh);
    void deliver_resumed();
    bool deliverable() const noexcept;
    void keep_input(std::string_view input, std::size_t consumed);
    bool in_own_hook() const noexcept;
    ConnectionOutput& gathered();
    BoundedSendfile* bounded_sendfile() const noexcept;
    void note_written(const ConnectionOutput& output) noexcept;
    void flush_outbox();
    void send_waiting();
    void relieve();
    void settle();
    void finish_close();
    void finish_output();
    void discard_input();
    void watch();
    void end_unwatched() noexcept;
    void unwatch() noexcept;
    void update_interest();
    void retire() noexcept;

    Services& services_;
    Connection* next_ = nullptr;  // in the ConnectionList
    Connection* previous_ = nullptr;
    std::unique_ptr<std::string> input_;        // kept; null when there is none
    std::unique_ptr<ConnectionOutput> output_;  // waits for the socket; null when there is none
    Transport transport_;
    std::uint32_t carried_limit_ms_ = 0;  // held: what was left of the time limit at the giver
    std::uint16_t listener_;
    State state_ = State::open;
    State resume_state_ = State::open;  // while moving
    Linger linger_ : 4 = Linger::if_unread;
    Interest interest_ : 4 = Interest::none;  // of the poller
    Watch watch_ : 2 = Watch::off;
    Sharing sharing_ : 2 = Sharing::sole;
    Drain drain_ : 2 = Drain::no;
    OutputEnd output_end_ : 2 = OutputEnd::open;
    bool fresh_ : 1 = false;          // opened in this turn of the loop and not looked at yet
    bool stays_ : 1 = false;          // refused by a receiver: never offered again
    bool expired_ : 1 = false;        // its time limit passed while it was moving
    bool input_drained_ : 1 = false;  // the read of this event left nothing in the socket
    bool end_of_input_ : 1 = false;
    bool paused_ : 1 = false;
    bool delivering_ : 1 = false;  // on_input is being called
    bool resumed_ : 1 = false;     // in a hook: input is to be delivered after it
    bool above_mark_ : 1 = false;  // on_writable is to come
};

// An exception out of a module ends this connection alone.
template <class Action>
void Connection::fence(Action action) noexcept {
    try {
        action();
    } catch (...) {
        fail_hook();
    }
}

template <class Hook>
void Connection::run_hook(Hook hook) noexcept {
    Connection* outer = nullptr;
    fence([&] {
        begin_hook(outer);
        hook();
    });
    end_hook(outer);
}

// Makes a T (derived from Connection) that owns itself, and starts reading.
template <class T, class... Args>
T& open_connection(Services& services, Accepted accepted, Args&&... args) {
    auto connection = std::make_unique<T>(services, std::move(accepted), std::forward<Args>(args)...);
    static_cast<Connection&>(*connection).start();
    return *connection.release();
}

}  // namespace drover
