// A new generation on probation, and the way back to the one before it.
#include "master/master.h"

#include <algorithm>
#include <utility>

namespace drover {

namespace {

// A worker that was silent when the time was over is looked at again after this.
constexpr std::chrono::milliseconds second_look{500};

}  // namespace

// The new generation has just begun to serve. The way back leads past a generation that was itself on
// probation, to the one before it.
void Master::begin_probation(Fallback fallback) {
    if (trial_ != nullptr) {
        fallback = std::move(trial_->fallback);
        fallback.way = ReloadWay::fresh;
    }
    end_probation(!unfit(), "generation " + std::to_string(current_->number()) + " has taken its place");
    const ProbationSettings& rule = current_->settings().master.probation;
    if (rule.time_ms == 0) return;
    trial_ = std::make_unique<Trial>(Probation(current_->number(), rule.deaths), std::move(fallback),
                                     clock_.now_ms() + 2 * rule.time_ms, clock_,
                                     Timer::Handler::to<&Master::on_probation_time>(this));
    reload_->probation = std::chrono::milliseconds(rule.time_ms);
    trial_->timer.start_once(reload_->probation);
    status_.probation_until_ms = loop_.now_ms() + rule.time_ms;
}

void Master::on_worker_lost(Pool& pool, const WorkerProcess& worker, const std::string& text) {
    if (!worker.ready()) service_->orders.fail_start(pool.name(), worker.identity().slot, text);
    if (trial_ != nullptr) trial_->probation.count_death(worker.generation(), text);
    if (unfit() && !rollback_timer_.started()) rollback_timer_.start_once(std::chrono::milliseconds(0));
}

void Master::on_rollback_due() {
    if (reload_ == nullptr && unfit()) go_back();  // a reload under way finds it when it ends
}

// A silent worker may hang: the probation waits for its report or its death, up to ends_ms.
void Master::on_probation_time() {
    if (unfit()) return;  // the way back waits for a reload to end
    const auto silent = [](const auto& pool) { return pool->any_silent(); };
    const bool wait = std::ranges::any_of(current_->pools(), silent) && clock_.now_ms() < trial_->ends_ms;
    if (wait) return trial_->timer.start_once(second_look);
    const std::string text = "generation " + std::to_string(current_->number()) + " has passed its probation";
    events_.info(EventKind::probation, subject(), text);
    end_probation(true, text);
}

void Master::end_probation(bool passed, const std::string& text) {
    trial_.reset();
    status_.probation_until_ms = 0;
    desk_.close_probation(passed, text);
    on_status_changed();
}

// By the pinned image: what the file says by now does not matter. If it fails the unfit generation serves on,
// as well as it can.
void Master::go_back() {
    const std::uint64_t generation = trial_->probation.generation();
    const std::string reason =
        "generation " + std::to_string(generation) + " was unfit: " + trial_->probation.reason();
    Fallback fallback = std::move(trial_->fallback);
    const ReloadWay way = fallback.way;
    events_.error(EventKind::rollback, {.generation = generation},
                  reason + "; going back to generation " + std::to_string(fallback.generation));
    notifier_.reloading();
    desk_.begin();
    end_probation(false, reason + "; rolled back");
    reload_ = std::make_unique<Reload>(clock_, Timer::Handler::to<&Master::on_reload_deadline>(this),
                                       std::move(fallback), reason);
    step(way == ReloadWay::hot ? ReloadEvent::hot : ReloadEvent::fresh);
}

}  // namespace drover
