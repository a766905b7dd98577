// Departure is how a worker leaves: it closes its intake, hands its connections to successors or waits for
// their end, keeps drain_timeout, and decides the exit code when nothing is left to do. Before that it
// collects successors, and knows who wants the worker to leave. Owned by the worker. Runs in: worker.
#pragma once

#include "core/base/callback.h"
#include "core/base/exit_code.h"
#include "core/base/unique_fd.h"
#include "core/counters/counter.h"
#include "core/loop/run_clock.h"
#include "worker/handover/handover_giver.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace drover {

class Channel;
class ConnectionList;
class EventLoop;
class Intake;
class Log;
class ModuleHost;
struct Services;

// A worker that somebody else than its master tells to leave could hand its connections to nobody: it asks
// the master for a successor, and serves on until the master dismisses it. Told again, it drains.
enum class LeaveWish : std::uint8_t {
    none,
    asked,       // for a successor
    dismissed,   // by the master, whose signal begins the drain
    signal_due,  // dismissed after it had asked: it drains already, and the master's signal is no second wish
};
enum class LeaveEvent : std::uint8_t {
    signal,        // TERM or QUIT, while the worker serves and has a master
    signal_alone,  // the same, and nobody could be asked for a successor
    shortage,      // descriptors that the master sent are lost
    dismissal,     // the master's message; its signal may have come before
};
enum class LeaveAction : std::uint8_t { nothing, ask, drain };
struct LeaveStep {
    LeaveWish next;
    LeaveAction action;
    friend bool operator==(const LeaveStep&, const LeaveStep&) = default;
};
LeaveStep leave_step(LeaveWish wish, LeaveEvent event) noexcept;

class Departure {
  public:
    // `on_stopped` is called when the master has been told that this worker accepts no more.
    Departure(EventLoop& loop, Log& log, Channel& channel, ConnectionList& connections, Intake& intake,
              Callback<void()> on_stopped);

    LeaveAction note(LeaveEvent event) noexcept;
    void add_successor(UniqueFd socket);
    bool has_successor() const noexcept { return giver_ != nullptr; }

    // The drain, once. `limited`: within the pool's drain_timeout.
    void begin(const Services& services, ModuleHost& modules, bool limited);
    // Asked again: what could have moved drains, too.
    void hurry(bool limited);
    // Connections that cannot move drain within drain_timeout; the others have handover_timeout to be taken
    // over.
    void limit();
    // Something has ended that the departure may wait for.
    void look();
    void on_connection_closed();

    // Takes effect when the callback that is running has returned: it may be one of a connection.
    void leave(ExitCode code);
    bool leaves() const noexcept { return exit_code_.has_value(); }
    ExitCode exit_code() const noexcept { return exit_code_.value_or(ExitCode::ok); }
    // The worker fails: all connections that are left end.
    void report_all_ended();

  private:
    // A worker that stood still has not used that time to drain.
    struct Limit {
        Limit(EventLoop& loop, Timer::Handler on_time, Timer::Handler on_handover_time)
            : clock(loop), timer(clock, on_time), handover_timer(clock, on_handover_time) {}
        RunClock clock;
        RunTimer timer;
        RunTimer handover_timer;  // what can move has moved by then, or drains, too
    };

    bool begun() const noexcept { return services_ != nullptr; }
    bool handing_over() const noexcept;
    void drain_connections();
    void on_drain_timeout();
    void on_handover_timeout();
    void end_overdue();
    std::chrono::milliseconds drain_timeout() const noexcept;
    void report(std::uint64_t ended);

    EventLoop& loop_;
    Log& log_;
    Channel& channel_;
    ConnectionList& connections_;
    Intake& intake_;
    Callback<void()> on_stopped_;
    LeaveWish wish_ = LeaveWish::none;
    const Services* services_ = nullptr;    // from begin() on
    std::unique_ptr<HandoverGiver> giver_;  // null: there is no successor
    std::unique_ptr<Limit> limit_;          // null: there is none
    Counter handed_over_;
    std::int64_t began_ms_ = 0;
    std::int64_t last_given_ms_ = 0;
    std::uint64_t given_ = 0;  // of the giver, counted already
    std::uint64_t ended_ = 0;  // connections, by drain_timeout, while others were handed over
    bool said_stopped_ = false;
    std::optional<ExitCode> exit_code_;
};

}  // namespace drover
