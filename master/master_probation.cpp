// A new generation on probation, and the way back to the one before it.
#include "core/system_error.h"
#include "master/master.h"

#include <algorithm>

#include <fcntl.h>

namespace drover {

namespace {

// A worker that was silent when the time was over is looked at again after this.
constexpr std::chrono::milliseconds second_look{500};

}  // namespace

Master::Fallback Master::fall_back_to(const Generation& generation, bool hot) const {
    UniqueFd image_fd(check_call(::fcntl(generation.image_fd(), F_DUPFD_CLOEXEC, 0), "fcntl"));
    return {.generation = generation.number(), .image_fd = std::move(image_fd), .hot = hot};
}

// The generation that serves has just begun to. One that itself was on probation, and not without deaths, is
// none to go back to: the one before it is.
void Master::begin_probation(Fallback fallback) {
    const ProbationSettings& rule = current_->settings().master.probation;
    const bool doubtful = probation_.under_way() && probation_.deaths() > 0 && fallback_.has_value();
    if (doubtful) fallback_->hot = false;
    if (!doubtful) fallback_ = std::move(fallback);
    end_probation(true, "generation " + std::to_string(current_->number()) + " has taken its place");
    if (rule.time_ms == 0 || !rollback_reason_.empty()) return fallback_.reset();
    probation_.begin(current_->number(), rule.deaths);
    probation_timer_.start_once(std::chrono::milliseconds(rule.time_ms));
    status_.probation_until_ms = loop_.now_ms() + rule.time_ms;
}

std::chrono::milliseconds Master::probation_time() const noexcept {
    if (!probation_.under_way()) return {};
    return std::chrono::milliseconds(current_->settings().master.probation.time_ms);
}

void Master::on_worker_lost(Pool& pool, const WorkerProcess& worker, const std::string& text) {
    if (!worker.ready()) orders_.fail(pool.name(), worker.identity().slot, text);
    probation_.count_death(worker.generation(), text);
    if (probation_.failed() && !rollback_timer_.started()) {
        rollback_timer_.start_once(std::chrono::milliseconds(0));
    }
}

void Master::on_rollback_due() {
    if (probation_.failed()) handle(LifeEvent::generation_unfit);
}

// Who does not report may be hanging, and would not be told from one that died.
void Master::on_probation_time() {
    const auto silent = [](const auto& pool) { return pool->any_silent(); };
    if (std::ranges::any_of(current_->pools(), silent)) return probation_timer_.start_once(second_look);
    const std::string text = "generation " + std::to_string(current_->number()) + " has passed its probation";
    log_.info(text);
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
    rollback_reason_ =
        "generation " + std::to_string(probation_.generation()) + " was unfit: " + probation_.reason();
    log_.error(rollback_reason_ + "; going back to generation " + std::to_string(fallback_->generation));
    notifier_.reloading();
    failures_.clear();
    desk_.begin();
    Fallback fallback = std::move(*fallback_);
    end_probation(false, rollback_reason_ + "; rolled back");
    fallback_.reset();
    try {
        verdict_ = std::make_unique<ConfigReader::Verdict>();
        verdict_->image.emplace(Image::open(fallback.image_fd.get()));
        verdict_->image_fd = std::move(fallback.image_fd);
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        return handle(LifeEvent::generation_failed);
    }
    fallback.hot ? prepare_hot(fallback.generation) : start_fresh(fallback.generation);
}

}  // namespace drover
