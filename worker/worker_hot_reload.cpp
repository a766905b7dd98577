// A worker's part in a hot reload: it builds the next generation's state beside the one that serves, says
// whether it can, and puts it in place when the master has passed the commit point.
#include "core/base/system_error.h"
#include "worker/worker.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <optional>
#include <stdexcept>

namespace drover {

namespace {

constexpr std::chrono::milliseconds prepare_retry_interval{20};

}  // namespace

void Worker::prepare() {
    if (!next_ || state_ != WorkerState::serving) return;
    try {
        check_generations();
        next_->next = intake_.prepare(next_->configuration, std::exchange(next_->listeners, {}));
    } catch (const std::exception& failure) {
        return refuse_next(failure.what());
    }
    prepare_modules();
}

// A shortage may pass while the master waits for the others.
void Worker::prepare_modules() {
    try {
        modules_->prepare(*assignment_.configuration, next_->configuration);
    } catch (const std::exception& failure) {
        if (!is_shortage(failure)) return refuse_next(failure.what());
        if (!next_->retry) {
            const std::chrono::milliseconds patience(settings().master.prepare_timeout_ms / 2);
            next_->retry = std::make_unique<Retry>(loop_, Timer::Handler::to<&Worker::prepare_modules>(this),
                                                   loop_.now_ms() + patience.count());
            log_.warning("a hot reload lacks something, and is tried again: " + std::string(failure.what()));
        }
        if (loop_.now_ms() >= next_->retry->end_ms) return refuse_next(failure.what());
        return next_->retry->timer.start_once(prepare_retry_interval);
    }
    channel_.send(MessageType::prepared, GenerationMessage{next_->configuration->generation()});
}

void Worker::refuse_next(const std::string& reason) {
    const std::string generation = std::to_string(next_->configuration->generation());
    next_.reset();
    files_.abandon(*assignment_.configuration);
    channel_.send_text(MessageType::not_prepared, generation + " " + reason);
}

// Requests that are under way keep the generation they began with alive; slow ones must not pile them up. One
// that modules without a change live on is theirs.
void Worker::check_generations() const {
    std::size_t alive = 0;
    std::size_t modules_own = 0;
    for (const auto& each : generations_) {
        const std::shared_ptr<const Configuration> configuration = each.lock();
        if (configuration == nullptr) continue;
        ++alive;
        const bool serves = configuration == assignment_.configuration;
        if (!serves && modules_->lives_on(configuration->generation())) ++modules_own;
    }
    const unsigned most = settings().master.max_generations;
    if (alive > max_older_generations + 1)
        throw std::runtime_error(std::to_string(alive - 1) + " generations are still in use");
    if (alive - modules_own <= most) return;
    throw std::runtime_error("requests that are under way still use " +
                             std::to_string(alive - modules_own - 1) +
                             " generations (master.max_generations is " + std::to_string(most) + ")");
}

static_assert(max_older_generations + 1 >= max_generations_limit);

// Whatever uses a generation's counters holds its configuration. A generation that was withdrawn has a higher
// number than the one that serves again.
void Worker::note_generations(Report& report) const noexcept {
    report.generation = assignment_.configuration->generation();
    for (const auto& each : generations_) {
        const std::shared_ptr<const Configuration> configuration = each.lock();
        if (configuration == nullptr || configuration == assignment_.configuration) continue;
        if (report.older_count < std::size(report.older))
            report.older[report.older_count++] = configuration->generation();
    }
}

void Worker::abandon() {
    if (!next_) return;
    modules_->abandon();
    next_.reset();
    files_.abandon(*assignment_.configuration);
}

void Worker::commit() {
    if (!next_ || state_ != WorkerState::serving) return;
    intake_.commit(std::move(next_->next));
    assignment_ = std::move(*next_);
    next_.reset();
    services_->configuration = assignment_.configuration;
    modules_->commit();
    files_.commit(*assignment_.configuration);
    apply_settings();
    report_timer_.start_every(std::chrono::milliseconds(pool().report_interval_ms));
    intake_.finish_gone();
    owes_committed_ = true;
    say_committed();
    send_report();
}

// When it has closed the addresses that are gone: nothing here keeps them in use.
void Worker::say_committed() {
    if (!owes_committed_ || !intake_.gone_closed()) return;
    owes_committed_ = false;
    channel_.send(MessageType::committed, GenerationMessage{assignment_.configuration->generation()});
}

}  // namespace drover
