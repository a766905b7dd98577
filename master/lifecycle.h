// The master's life as a table: what each event does in each state, without a system call. Master carries the
// actions out. Reloads come and go while it runs; they have a table of their own
// (master/reload/reload_table.h). Runs in: the master.
#pragma once

#include <cstdint>
#include <span>

namespace drover {

enum class LifeState : std::uint8_t {
    reading,   // the first config reader is at work; there is nothing else yet
    starting,  // the first workers start
    running,
    draining,  // graceful stop, with a deadline
    quitting,  // graceful stop, without one
    killing,   // forced stop
    finished,
};
inline constexpr int life_state_count = 7;

enum class LifeEvent : std::uint8_t {
    configured,    // the reader has made the first image
    serves,        // the first generation
    start_failed,  // no image, no socket, or a worker that is not ready
    stop,          // TERM
    quit,          // QUIT
    interrupt,     // INT
    deadline,      // the time for draining, or for a forced stop, is over
    all_gone,      // no child is left
};
inline constexpr int life_event_count = 8;

enum class LifeAction : std::uint8_t {
    nothing,  // but be in the next state
    announce,
    drain,  // every worker drains within its drain_timeout
    drain_unlimited,
    force,  // every worker leaves at once
    kill,   // the kernel ends those that have not
    finish,
};

struct LifeStep {
    LifeState next;
    LifeAction action;
};

struct LifeCell {
    LifeState state;
    LifeEvent event;
    LifeStep step;
};

// All that changes anything.
std::span<const LifeCell> lifecycle_table() noexcept;

// An event that the table does not list in a state comes too late there: the state stays, nothing is done.
LifeStep lifecycle_step(LifeState state, LifeEvent event) noexcept;

constexpr bool is_stopping(LifeState state) noexcept {
    return state >= LifeState::draining;
}

}  // namespace drover
