#include "master/reload/reload.h"

#include <utility>

namespace drover {

Reload::Reload(const RunClock& clock, Timer::Handler on_deadline) : deadline_(clock, on_deadline) {}

Reload::Reload(const RunClock& clock, Timer::Handler on_deadline, Fallback fallback, std::string reason)
    : kind_(ReloadKind::back),
      number_(fallback.generation),
      source_(std::move(fallback.source)),
      reason_(std::move(reason)),
      deadline_(clock, on_deadline) {}

ReloadAction Reload::step(ReloadEvent event) noexcept {
    const ReloadStep step = reload_step(kind_, state_, event);
    if (step.next != state_) deadline_.stop();
    state_ = step.next;
    return step.action;
}

void Reload::lead_to(std::uint64_t number, GenerationSource source) {
    number_ = number;
    source_ = std::move(source);
}

// A way back in the running workers may fail; new ones then need the source.
GenerationSource Reload::take_source() {
    const bool kept = kind_ == ReloadKind::back && state_ == ReloadState::preparing;
    return kept ? source_->duplicate() : std::move(*source_);
}

}  // namespace drover
