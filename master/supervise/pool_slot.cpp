// A slot of a pool: starts the workers that fill it, and remembers how those before them ended.
#include "master/supervise/pool.h"

#include <algorithm>

namespace drover {

Pool::Slot::Slot(Pool& owner, unsigned slot_number)
    : pool(owner),
      number(slot_number),
      policy(owner.respawn_rule()),
      respawn_timer(owner.context_.loop, Timer::Handler::to<&Slot::fill_soon>(this)) {}

std::unique_ptr<WorkerProcess> Pool::Slot::start_worker() {
    WorkerRecipe recipe;
    recipe.identity = {pool.context_.next_instance++, pool.settings_->name, number};
    recipe.generation = pool.origin_.generation;
    recipe.image_fd = pool.origin_.image_fd;
    recipe.library_fds = pool.origin_.library_fds;
    recipe.files = pool.origin_.files;
    recipe.log = &pool.context_.log;
    recipe.log_turn = pool.context_.log_turn;
    recipe.lifeline_fd = pool.context_.lifeline_fd;
    recipe.modules = pool.context_.modules;
    recipe.start_timeout = std::chrono::milliseconds(pool.settings_->start_timeout_ms);
    recipe.desk = &pool.context_.desk;
    recipe.observes = pool.settings_->observes;
    for (const auto& listener : pool.listeners_)
        recipe.listener_fds.push_back(listener->socket_for(number));
    WorkerObserver& observer = pool;
    auto started =
        std::make_unique<WorkerProcess>(pool.context_.clock, pool.context_.counters, recipe, observer);
    pool.context_.events.info(
        EventKind::worker_started, started->subject(),
        started->name() + " starts, of generation " + std::to_string(recipe.generation));
    pool.context_.own_counters.count_start();
    first_resident = 0;
    jitter = std::uniform_real_distribution<>(0, 1)(pool.context_.random);
    pool.observer_.on_status_changed();
    return started;
}

// It is said once in a shortage.
void Pool::Slot::fill() {
    wanted = false;
    try {
        worker = start_worker();
    } catch (const std::exception& failure) {
        if (pool.phase_ == Phase::gated) return pool.observer_.on_start_failed(pool, failure.what());
        const std::string text = name() + " cannot be started: " + failure.what();
        if (policy.shortages() == 0)
            pool.context_.events.error(EventKind::back_off, subject(),
                                       text + "; tried again until it can be");
        fill_after(policy.delay_after_shortage());
        return pool.observer_.on_not_filled(pool, number, text);
    }
    policy.end_shortage();
    next_attempt_ms = 0;
}

void Pool::Slot::fill_soon() {
    respawn_timer.stop();
    next_attempt_ms = pool.context_.loop.now_ms();
    wanted = true;
    if (!pool.fill_timer_.started()) pool.fill_timer_.start_once(std::chrono::milliseconds(0));
}

void Pool::Slot::fill_after(std::chrono::milliseconds delay) {
    if (delay.count() == 0) return fill_soon();
    next_attempt_ms = pool.context_.loop.now_ms() + delay.count();
    respawn_timer.start_once(delay);
}

void Pool::Slot::forgive() {
    respawn_timer.stop();
    wanted = false;
    policy = RespawnPolicy(pool.respawn_rule());
    unfit_starts = 0;
}

void Pool::Slot::note_death(const std::string& reason) {
    ++restarts;
    ++deaths;
    std::ranges::move_backward(recent_deaths.begin(), recent_deaths.end() - 1, recent_deaths.end());
    WorkerDeath& death = recent_deaths.front();
    death = {.time_ms = pool.context_.loop.now_ms()};
    reason.copy(death.reason, sizeof(death.reason) - 1);
}

EventSubject Pool::Slot::subject() const noexcept {
    EventSubject subject = pool.subject();
    subject.slot = static_cast<int>(number);
    return subject;
}

void Pool::Slot::describe(WorkerStatus& status) const noexcept {
    status.restarts = restarts;
    status.deaths = deaths;
    std::ranges::copy(recent_deaths, std::begin(status.recent_deaths));
}

}  // namespace drover
