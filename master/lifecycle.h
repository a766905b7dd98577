// The master's life as a table: what each event does in each state, without a system call. Master carries the
// actions out. Runs in: the master.
#pragma once

#include <cstdint>

namespace drover {

enum class LifeState : std::uint8_t {
    reading,   // first start: the config reader is at work
    starting,  // first start: workers start
    running,
    rereading,  // reload: the config reader is at work
    preparing,  // reload: workers of the next generation start beside the running ones
    switching,  // reload: the next generation serves; waiting until no worker of the old one accepts
    draining,   // graceful stop, with a deadline
    quitting,   // graceful stop, without one
    killing,    // forced stop
    finished,
};
inline constexpr int life_state_count = 10;

enum class LifeEvent : std::uint8_t {
    reload,             // HUP or `drover reload`
    config_ready,       // the reader has made an image that differs
    config_unchanged,   // the image is the running one
    config_refused,     // the reader says no, died, or took too long
    generation_ready,   // every worker of the starting generation is ready
    generation_failed,  // one of them is not, or its listeners cannot be had
    old_quiet,          // no worker of the old generation accepts any more
    generation_unfit,   // too many workers of the generation on probation have died
    stop,               // TERM
    quit,               // QUIT
    interrupt,          // INT
    deadline,           // the time for draining, or for a forced stop, is over
    all_gone,           // no child is left
};
inline constexpr int life_event_count = 13;

enum class LifeAction : std::uint8_t {
    nothing,
    remember_reload,  // one more reload when the present one is settled
    read_config,
    start_generation,
    announce,          // first generation: serve, say ready
    roll_back,         // prepare the generation before, in place of the one that is unfit
    switch_over,       // next generation serves, the old one drains
    settle,            // the reload is done: give the verdict
    settle_unchanged,  // nothing to do: give the verdict
    refuse,            // drop the next generation, give the verdict
    give_up,           // the start failed
    drain,             // every worker drains within its drain_timeout
    drain_unlimited,
    force,  // every worker leaves at once
    kill,   // the kernel ends those that have not
    finish,
};

struct LifeStep {
    LifeState next;
    LifeAction action;
};

LifeStep lifecycle_step(LifeState state, LifeEvent event) noexcept;

constexpr bool is_stopping(LifeState state) noexcept {
    return state >= LifeState::draining;
}

}  // namespace drover
