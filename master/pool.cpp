#include "master/pool.h"

#include <algorithm>
#include <csignal>

namespace drover {

Pool::Slot::Slot(Pool& owner, unsigned slot_number)
    : pool(owner),
      number(slot_number),
      policy(std::chrono::milliseconds(owner.settings_.respawn_delay_ms)),
      respawn_timer(owner.context_.loop, Timer::Handler::to<&Slot::fill>(this)),
      start_timer(owner.context_.loop, Timer::Handler::to<&Slot::on_start_timeout>(this)) {}

void Pool::Slot::fill() {
    WorkerRecipe recipe;
    recipe.identity = {pool.context_.next_instance++, pool.settings_.name, number};
    recipe.generation = pool.origin_.generation;
    recipe.image_fd = pool.origin_.image_fd;
    recipe.log_fd = pool.context_.log_file.get();
    recipe.lifeline_fd = pool.context_.lifeline_fd;
    recipe.modules = pool.context_.modules;
    for (const auto& listener : pool.listeners_)
        recipe.listener_fds.push_back(listener->socket_for(number));
    WorkerObserver& observer = pool;
    try {
        worker =
            std::make_unique<WorkerProcess>(pool.context_.loop, pool.context_.counters, recipe, observer);
    } catch (const std::exception& failure) {
        if (pool.phase_ == Phase::gated) throw;
        pool.context_.log.error("cannot start worker " + pool.settings_.name + "/" + std::to_string(number) +
                                ": " + failure.what());
        respawn_timer.start_once(RespawnPolicy::longest_delay);
        return;
    }
    next_attempt_ms = 0;
    start_timer.start_once(std::chrono::milliseconds(pool.settings_.start_timeout_ms));
    pool.observer_.on_status_changed();
}

void Pool::Slot::on_start_timeout() {
    pool.context_.log.error(worker->name() + " was not ready within start_timeout: killed");
    worker->signal(SIGKILL);
}

Pool::Pool(PoolContext& context, const PoolSettings& settings, Origin origin,
           std::vector<std::shared_ptr<Listener>> listeners, PoolObserver& observer)
    : context_(context),
      settings_(settings),
      origin_(origin),
      listeners_(std::move(listeners)),
      observer_(observer) {
    for (unsigned i = 0; i < settings.workers; ++i)
        slots_.push_back(std::make_unique<Slot>(*this, i));
}

Pool::~Pool() = default;

void Pool::start() {
    for (const auto& slot : slots_)
        slot->fill();
}

bool Pool::all_ready() const noexcept {
    return std::ranges::all_of(
        slots_, [](const auto& slot) { return slot->worker != nullptr && slot->worker->ready(); });
}

void Pool::listen() {
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
        listeners_[i]->listen();
        const ListenerOptions& wanted = settings_.listen[i].listener;
        if (listeners_[i]->options() != wanted) listeners_[i]->set_options(wanted);
    }
}

void Pool::trim_listeners() {
    for (const auto& listener : listeners_) {
        if (listener->sockets() > size()) listener->resize(size());
    }
}

std::string Pool::listening_text() const {
    std::string text;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
        if (i > 0) text += ", ";
        text += listeners_[i]->address().text() + " (" + std::string(settings_.listen[i].module) + ")";
    }
    return text;
}

void Pool::serve() {
    phase_ = Phase::serving;
    each_worker([](WorkerProcess& worker) {
        if (worker.ready()) worker.serve();
    });
}

void Pool::retire(int signal) {
    phase_ = Phase::retired;
    for (const auto& slot : slots_) {
        slot->respawn_timer.stop();
        slot->start_timer.stop();
    }
    each_worker([signal](WorkerProcess& worker) { worker.drain(signal); });
}

void Pool::hand_over_to(const Pool& successor) {
    for (const auto& slot : successor.slots_) {
        if (slot->worker != nullptr && slot->worker->ready()) hand_over_to(successor, *slot->worker);
    }
}

void Pool::hand_over_to(const Pool& successor, WorkerProcess& newcomer) {
    each_worker([&](WorkerProcess& worker) {
        if (worker.ready() && worker.identity().slot % successor.size() == newcomer.identity().slot) {
            worker.hand_over_to(newcomer);
        }
    });
}

bool Pool::grow() {
    if (phase_ != Phase::serving || size() >= max_workers) return false;
    const unsigned number = size();
    for (const auto& listener : listeners_) {
        if (listener->sockets() <= number) listener->resize(number + 1);
    }
    slots_.push_back(std::make_unique<Slot>(*this, number));
    slots_.back()->fill();
    return true;
}

bool Pool::shrink() {
    if (phase_ != Phase::serving || size() <= 1) return false;
    std::unique_ptr<Slot> slot = std::move(slots_.back());
    slots_.pop_back();
    if (slot->worker != nullptr) {
        slot->worker->drain(SIGTERM);
        leaving_.push_back(std::move(slot->worker));
    }
    trim_listeners();
    observer_.on_status_changed();
    return true;
}

unsigned Pool::serving() const noexcept {
    return static_cast<unsigned>(std::ranges::count_if(slots_, [](const auto& slot) {
        return slot->worker != nullptr && slot->worker->state() == WorkerState::serving;
    }));
}

bool Pool::any_accepting() const noexcept {
    bool any = false;
    each_worker([&any](const WorkerProcess& worker) { any = any || !worker.stopped_accepting(); });
    return any;
}

bool Pool::empty() const noexcept {
    return leaving_.empty() &&
           std::ranges::none_of(slots_, [](const auto& slot) { return slot->worker != nullptr; });
}

void Pool::kill_accepting() {
    each_worker([this](const WorkerProcess& worker) {
        if (worker.stopped_accepting()) return;
        context_.log.error(worker.name() + " did not stop accepting when told: killed");
        worker.signal(SIGKILL);
    });
}

bool Pool::on_exit(pid_t pid, const ExitReport& report) {
    for (const auto& slot : slots_) {
        if (slot->worker == nullptr || slot->worker->pid() != pid) continue;
        bury(*slot, report);
        return true;
    }
    const auto left =
        std::ranges::find_if(leaving_, [pid](const auto& worker) { return worker->pid() == pid; });
    if (left == leaving_.end()) return false;
    const std::unique_ptr<WorkerProcess> worker = std::move(*left);
    leaving_.erase(left);
    worker->on_exit();
    context_.log.info(obituary(*worker, report));
    observer_.on_status_changed();
    return true;
}

// The worker is taken out of its slot before anyone is told, so that whoever is told sees the pool as it is
// now.
void Pool::bury(Slot& slot, const ExitReport& report) {
    slot.start_timer.stop();
    slot.worker->on_exit();
    const std::unique_ptr<WorkerProcess> worker = std::move(slot.worker);
    const std::string text = obituary(*worker, report);
    if (phase_ == Phase::retired) {
        context_.log.info(text);
        observer_.on_worker_quiet(*this);
    } else if (phase_ == Phase::gated) {
        observer_.on_start_failed(*this, text);
    } else {
        const std::int64_t now = context_.loop.now_ms();
        const auto served = std::chrono::milliseconds(worker->ready() ? now - worker->ready_ms() : 0);
        const auto delay = slot.policy.delay_after_death(served);
        context_.log.error(text + (delay.count() == 0
                                       ? std::string("; replaced at once")
                                       : "; replaced in " + std::to_string(delay.count()) + " ms"));
        ++slot.restarts;
        slot.next_attempt_ms = now + delay.count();
        if (delay.count() == 0) {
            slot.fill();
        } else {
            slot.respawn_timer.start_once(delay);
        }
    }
    observer_.on_status_changed();
}

std::string Pool::obituary(const WorkerProcess& worker, const ExitReport& report) const {
    std::string text = worker.name() + " " + report.text();
    if (!worker.last_words().empty()) text += ": " + worker.last_words();
    return text;
}

void Pool::each_worker(const std::function<void(WorkerProcess&)>& visit) const {
    for (const auto& slot : slots_) {
        if (slot->worker != nullptr) visit(*slot->worker);
    }
    for (const auto& worker : leaving_)
        visit(*worker);
}

void Pool::on_ready(WorkerProcess& worker) {
    for (const auto& slot : slots_) {
        if (slot->worker.get() == &worker) slot->start_timer.stop();
    }
    if (phase_ == Phase::serving && worker.state() == WorkerState::starting) {
        listen();
        worker.serve();
    }
    observer_.on_worker_ready(*this, worker);
    observer_.on_status_changed();
}

void Pool::on_stopped_accepting(WorkerProcess&) {
    observer_.on_worker_quiet(*this);
    observer_.on_status_changed();
}

void Pool::on_report(WorkerProcess&) {
    observer_.on_status_changed();
}

void Pool::on_broken(WorkerProcess& worker, std::string_view reason) {
    context_.log.error(worker.name() + ": " + std::string(reason) + ": killed");
    worker.signal(SIGKILL);
}

void Pool::send_log_file(int fd) {
    each_worker([fd](WorkerProcess& worker) { worker.send_log_file(fd); });
}

void Pool::append_status(std::vector<WorkerStatus>& lines) const {
    const auto line = [this](unsigned slot) {
        WorkerStatus status;
        settings_.name.copy(status.pool, sizeof(status.pool) - 1);
        status.slot = slot;
        return status;
    };
    for (const auto& slot : slots_) {
        WorkerStatus status = line(slot->number);
        status.restarts = slot->restarts;
        if (slot->worker != nullptr) {
            slot->worker->describe(status);
        } else if (phase_ == Phase::retired) {
            continue;
        } else {
            status.state = WorkerState::backing_off;
            status.generation = origin_.generation;
            status.next_attempt_ms = slot->next_attempt_ms;
        }
        lines.push_back(status);
    }
    for (const auto& worker : leaving_) {
        WorkerStatus status = line(worker->identity().slot);
        worker->describe(status);
        lines.push_back(status);
    }
}

}  // namespace drover
