// A reload as a table: what each event does in each state, without a system call. Two ways lead from the
// reader to the verdict: hot, in the running workers (preparing, committing), and fresh, by new ones
// (waiting, starting, switching). A reload of kind `back` leads to the generation before, by its pinned
// image. Runs in: the master.
#pragma once

#include <cstdint>
#include <span>

namespace drover {

enum class ReloadKind : std::uint8_t {
    asked,  // by HUP or `drover reload`
    back,   // from a generation that was unfit
};

enum class ReloadWay : std::uint8_t { hot, fresh };

enum class ReloadState : std::uint8_t {
    reading,     // where it leads is not known yet: the config reader is at work
    waiting,     // fresh: workers of earlier generations leave first
    starting,    // fresh: workers of the next generation start beside the running ones
    switching,   // fresh: the next generation serves; old workers still accept
    preparing,   // hot: running workers prepare
    committing,  // hot: the next generation serves; not all workers have committed
    over,
};
inline constexpr int reload_state_count = 7;

enum class ReloadEvent : std::uint8_t {
    refused,    // the reader says no, died, or took too long
    unchanged,  // the image is the running one
    hot,        // the way is known
    fresh,
    old_gone,  // no worker of an earlier generation is left
    ready,     // every worker of the next generation is ready, or prepared
    failed,    // one of them is not, or listeners cannot be had
    quiet,     // all workers that accept serve the next generation
    unfit,     // the same, and too many of them have died meanwhile
    late,      // the state's deadline
};
inline constexpr int reload_event_count = 10;

enum class ReloadAction : std::uint8_t {
    nothing,
    wait_for_old,
    start,                // workers of the next generation
    prepare,              // the running workers
    switch_over,          // the next generation serves, the old one drains
    commit,               // the same, in the running workers
    kill_accepting,       // old workers that still do
    replace_uncommitted,  // workers that prepared, and then did not commit
    retry_fresh,          // the way back in the running workers fails: by new ones
    settle,               // done: give the verdict
    settle_unchanged,     // nothing to do: give the verdict
    go_back,              // no verdict: a way back takes over, and gives it
    refuse,               // everything stays as it was: give the verdict
};

struct ReloadStep {
    ReloadState next;
    ReloadAction action;
};

struct ReloadCell {
    enum class Kinds : std::uint8_t { all, asked, back };

    Kinds kinds;
    ReloadState state;
    ReloadEvent event;
    ReloadStep step;
};

// All that changes anything. No two cells are for the same kind, state and event.
std::span<const ReloadCell> reload_table() noexcept;

// An event that the table does not list in a state comes too late there: the state stays, nothing is done.
ReloadStep reload_step(ReloadKind kind, ReloadState state, ReloadEvent event) noexcept;

// Workers are being made ready: the running pools keep their sizes.
constexpr bool makes_ready(ReloadState state) noexcept {
    return state == ReloadState::starting || state == ReloadState::preparing ||
           state == ReloadState::committing;
}

}  // namespace drover
