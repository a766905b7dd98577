// A new generation on probation, and the way back to the one before it.
#include "master/master.h"

#include <algorithm>

namespace drover {

namespace {

// A worker that was silent when the time was over is looked at again after this.
constexpr std::chrono::milliseconds second_look{500};

}  // namespace

Master::Fallback Master::fall_back_to(const Generation& generation, bool hot) const {
    return {.generation = generation.number(), .source = generation.source(), .hot = hot};
}

// The new generation has just begun to serve. The way back leads past a generation that was itself on
// probation, to the one before it.
void Master::begin_probation(Fallback fallback) {
    const bool proven = !probation_.under_way() || !fallback_;
    if (proven) fallback_ = std::move(fallback);
    if (!proven) fallback_->hot = false;
    end_probation(!probation_.failed(),
                  "generation " + std::to_string(current_->number()) + " has taken its place");
    const ProbationSettings& rule = current_->settings().master.probation;
    if (rule.time_ms == 0) return fallback_.reset();
    probation_.begin(current_->number(), rule.deaths);
    on_probation_for_ = std::chrono::milliseconds(rule.time_ms);
    probation_timer_.start_once(on_probation_for_);
    status_.probation_until_ms = loop_.now_ms() + rule.time_ms;
    probation_ends_ms_ = clock_.now_ms() + 2 * rule.time_ms;
}

void Master::on_worker_lost(Pool& pool, const WorkerProcess& worker, const std::string& text) {
    if (!worker.ready()) orders_.fail_start(pool.name(), worker.identity().slot, text);
    probation_.count_death(worker.generation(), text);
    if (probation_.failed() && !rollback_timer_.started()) {
        rollback_timer_.start_once(std::chrono::milliseconds(0));
    }
}

void Master::on_rollback_due() {
    if (probation_.failed()) handle(LifeEvent::generation_unfit);
}

// A silent worker may hang: the probation waits for its report or its death, up to probation_ends_ms_.
void Master::on_probation_time() {
    if (probation_.failed()) return;  // the way back waits for a reload to end
    const auto silent = [](const auto& pool) { return pool->any_silent(); };
    const bool wait = std::ranges::any_of(current_->pools(), silent) && clock_.now_ms() < probation_ends_ms_;
    if (wait) return probation_timer_.start_once(second_look);
    const std::string text = "generation " + std::to_string(current_->number()) + " has passed its probation";
    events_.info(EventKind::probation, subject(), text);
    fallback_.reset();
    end_probation(true, text);
}

void Master::end_probation(bool passed, const std::string& text) {
    probation_timer_.stop();
    probation_.end();
    status_.probation_until_ms = 0;
    desk_.close_probation(passed, text);
    on_status_changed();
}

// By the pinned image: what the file says by now does not matter. If it fails the unfit generation serves on,
// as well as it can.
void Master::roll_back() {
    if (rollback_reason_.empty()) {
        rollback_reason_ =
            "generation " + std::to_string(probation_.generation()) + " was unfit: " + probation_.reason();
        events_.error(
            EventKind::rollback, {.generation = probation_.generation()},
            rollback_reason_ + "; going back to generation " + std::to_string(fallback_->generation));
        notifier_.reloading();
        desk_.begin();
        end_probation(false, rollback_reason_ + "; rolled back");
    }
    failures_.clear();
    // A copy: if this way back fails there may be another one.
    verdict_ = std::make_unique<ConfigReader::Verdict>();
    try {
        verdict_->image.emplace(Image::open(fallback_->source.image_fd.get()));
        verdict_->image_fd = fallback_->source.image_fd.duplicate();
        for (const UniqueFd& library : fallback_->source.libraries)
            verdict_->libraries.push_back(library.duplicate());
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        return handle(LifeEvent::generation_failed);
    }
    fallback_->hot ? prepare_hot(fallback_->generation) : start_fresh(fallback_->generation);
}

}  // namespace drover
