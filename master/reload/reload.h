// Reload is one reload, from the ask to the verdict: where it is (reload_table.h), what it leads to, why it
// fails, its deadline. Owned by the Master, which carries its steps out and destroys it after the verdict.
// Runs in: the master.
#pragma once

#include "core/loop/run_clock.h"
#include "master/reload/generation.h"
#include "master/reload/reload_table.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drover {

// What the master goes back to when the generation that serves is unfit.
struct Fallback {
    std::uint64_t generation = 0;
    GenerationSource source;
    ReloadWay way = ReloadWay::fresh;
};

class Reload {
  public:
    // To a generation that the config reader has yet to make.
    Reload(const RunClock& clock, Timer::Handler on_deadline);
    // Back to the one before; `reason`: why the generation that serves is unfit.
    Reload(const RunClock& clock, Timer::Handler on_deadline, Fallback fallback, std::string reason);

    ReloadKind kind() const noexcept { return kind_; }
    ReloadState state() const noexcept { return state_; }
    bool over() const noexcept { return state_ == ReloadState::over; }
    const std::string& reason() const noexcept { return reason_; }

    // What is to be done now. The deadline of a state ends with it.
    ReloadAction step(ReloadEvent event) noexcept;
    void end_after(std::chrono::milliseconds time) { deadline_.start_once(time); }

    // The generation that it leads to, by its number, and what that is made of.
    void lead_to(std::uint64_t number, GenerationSource source);
    std::uint64_t number() const noexcept { return number_; }
    // Throws std::system_error when no descriptor is free.
    GenerationSource take_source();

    std::vector<std::string> made_again;     // files that had gone
    std::vector<std::string> failures;       // why it fails
    std::chrono::milliseconds probation{0};  // what the verdict says of it

  private:
    ReloadKind kind_ = ReloadKind::asked;
    ReloadState state_ = ReloadState::reading;
    std::uint64_t number_ = 0;
    std::optional<GenerationSource> source_;
    std::string reason_;
    RunTimer deadline_;
};

}  // namespace drover
