// How a pool watches its workers: who is ready, who died, who hangs, and who gets new connections meanwhile.
#include "core/base/exit_code.h"
#include "master/supervise/pool.h"

#include <algorithm>
#include <csignal>
#include <utility>

namespace drover {

namespace {

// When no slot of a pool serves, none waits longer than this.
constexpr std::chrono::milliseconds longest_wait_alone{1000};
// A worker that cannot use its configuration will hardly learn to.
constexpr unsigned most_unfit_starts = 5;
// A worker watches a queue for 65 s when it is told to (worker/intake.cpp).
constexpr std::chrono::milliseconds watch_again{60'000};

}  // namespace

void Pool::on_ready(WorkerProcess& worker) {
    Slot* const slot = find_slot(worker);
    if (slot != nullptr) slot->unfit_starts = 0;
    if (slot != nullptr && phase_ == Phase::serving) {
        slot->newcomer.get() == &worker ? take_over(*slot) : begin_serving(worker);
    }
    observer_.on_worker_ready(*this, worker);
    observer_.on_status_changed();
}

void Pool::on_late(WorkerProcess& worker) {
    context_.events.error(EventKind::worker_killed, worker.subject(),
                          worker.name() + " was not ready within start_timeout: killed");
    worker.kill("not ready within start_timeout");
}

// Its pid cannot come to mean a stranger, because it is not reaped; when it ends at last nobody minds.
void Pool::on_unkillable(WorkerProcess& worker) {
    on_exit(worker.pid(), {.signal = SIGKILL, .given_up = true});
    observer_.on_given_up();
}

void Pool::begin_serving(WorkerProcess& worker) {
    try {
        use_listeners(listener_uses());
    } catch (const std::exception& failure) {
        context_.events.error(EventKind::trouble, subject(), "pool " + name() + ": " + failure.what());
    }
    worker.serve();
    watchers_.erase(worker.identity().slot);
    if (next_.settings != nullptr) prepare(worker);
    steer();
    watch_queues();
    dismiss_slotless();
    hand_over_to(*this, worker);  // from those that have left this slot and still hold connections
}

void Pool::on_stopped_accepting(WorkerProcess& worker) {
    Slot* const slot = find_slot(worker);
    const bool left = slot != nullptr && slot->worker.get() == &worker;
    if (left && phase_ == Phase::serving) replace_left(*slot);
    observer_.on_worker_quiet(*this);
    observer_.on_status_changed();
}

// Its worker leaves by itself (somebody signalled it, or it lost its channel): the slot is filled at once,
// and the newcomer is given the connections.
void Pool::replace_left(Slot& slot) {
    context_.events.warning(EventKind::replacement, slot.worker->subject(),
                            slot.worker->name() + " leaves without being told to; replaced");
    slot.worker->leave(SIGTERM, std::chrono::milliseconds(settings_->drain_timeout_ms));
    leaving_.push_back(std::move(slot.worker));
    ++slot.restarts;
    steer();
    fill_empty(slot);
}

// A newcomer that was to replace the worker that is gone becomes the slot's worker.
void Pool::fill_empty(Slot& slot) {
    slot.replace_reason.clear();
    if (slot.newcomer == nullptr) return slot.fill_soon();
    slot.worker = std::move(slot.newcomer);
}

void Pool::on_handed_over(WorkerProcess& worker, const HandoverResult& result) {
    std::string text = worker.name() + " handed over " + std::to_string(result.given) + " connections in " +
                       std::to_string(result.time_ms) + " ms";
    if (result.ended > 0) text += "; " + std::to_string(result.ended) + " were left at its drain_timeout";
    context_.events.info(EventKind::handover, worker.subject(), text);
}

void Pool::on_report(WorkerProcess& worker) {
    Slot* const slot = find_slot(worker);
    if (slot != nullptr && slot->worker.get() == &worker) consider_recycling(*slot);
    observer_.on_status_changed();
}

void Pool::on_broken(WorkerProcess& worker, std::string_view reason) {
    context_.events.error(EventKind::worker_killed, worker.subject(),
                          worker.name() + ": " + std::string(reason) + ": killed");
    worker.kill(std::string(reason));
}

bool Pool::on_exit(pid_t pid, const ExitReport& report) {
    for (const auto& slot : slots_) {
        const bool newcomer = slot->newcomer != nullptr && slot->newcomer->pid() == pid;
        const bool worker = slot->worker != nullptr && slot->worker->pid() == pid;
        if (newcomer) on_newcomer_lost(*slot, report);
        if (worker) bury(*slot, report);
        if (newcomer || worker) return true;
    }
    const auto left =
        std::ranges::find_if(leaving_, [pid](const auto& worker) { return worker->pid() == pid; });
    if (left == leaving_.end()) return false;
    const std::unique_ptr<WorkerProcess> worker = std::move(*left);
    leaving_.erase(left);
    worker->on_exit();
    record_departure(*worker, report);
    observer_.on_worker_quiet(*this);
    observer_.on_status_changed();
    return true;
}

// Records the death of a worker that had been told to leave. Whatever ends it before it exits has ended its
// connections.
void Pool::record_departure(const WorkerProcess& worker, const ExitReport& report) const {
    const std::string text = obituary(worker, report);
    if (worker.left_idle() || (report.signal == 0 && report.code == 0))
        return context_.events.info(EventKind::worker_exit, worker.subject(), text);
    count_death(worker, report);
    context_.events.error(EventKind::worker_death, worker.subject(), text + " while it was leaving");
}

// The worker is taken out of its slot before anyone is told, so that whoever is told sees the pool as it is
// now.
void Pool::bury(Slot& slot, const ExitReport& report) {
    const std::unique_ptr<WorkerProcess> worker = std::move(slot.worker);
    const Slot* const place = &slot;
    worker->on_exit();
    const std::string text = obituary(*worker, report);
    // Its last words may have been what a reload waited for, and the slot one that the new generation does
    // not have.
    const bool slot_is_gone =
        std::ranges::none_of(slots_, [place](const auto& each) { return each.get() == place; });
    if (slot_is_gone || phase_ == Phase::retired) {
        record_departure(*worker, report);
        observer_.on_worker_quiet(*this);
    } else if (phase_ == Phase::gated) {
        count_death(*worker, report);
        context_.events.error(EventKind::worker_death, worker->subject(), text);
        observer_.on_start_failed(*this, text);
    } else if (slot.worker != nullptr) {
        count_death(*worker, report);
        slot.note_death(worker->cause_of_death(report));
        context_.events.error(EventKind::worker_death, worker->subject(), text + "; replaced already");
    } else {
        count_death(*worker, report);
        respawn(slot, *worker, report);
    }
    if (next_.settings != nullptr) observer_.on_prepared(*this);  // one less to wait for
    observer_.on_status_changed();
}

void Pool::respawn(Slot& slot, const WorkerProcess& dead, const ExitReport& report) {
    const std::string text = obituary(dead, report);
    slot.note_death(dead.cause_of_death(report));
    slot.replace_reason.clear();
    steer();
    observer_.on_worker_lost(*this, dead, text);
    if (slot.newcomer != nullptr) {
        context_.events.error(EventKind::worker_death, dead.subject(),
                              text + "; replaced by the one that was to take over");
        return fill_empty(slot);
    }
    const bool unfit = !dead.ready() && report.signal == 0 && report.code == to_int(ExitCode::config);
    slot.unfit_starts = unfit ? slot.unfit_starts + 1 : 0;
    if (slot.unfit_starts >= most_unfit_starts) {
        slot.next_attempt_ms = 0;
        context_.events.error(EventKind::worker_death, dead.subject(), text);
        context_.events.record(
            EventKind::given_up, LogLevel::critical, slot.subject(),
            slot.name() + " is given up until the next reload: it cannot use its configuration");
        return watch_queues();
    }
    const std::int64_t now = context_.loop.now_ms();
    const auto served = std::chrono::milliseconds(dead.ready() ? now - dead.ready_ms() : 0);
    const double jitter = std::uniform_real_distribution<>(0, 1)(context_.random);
    const auto delay = slot.policy.delay_after_death(std::chrono::milliseconds(now), served, jitter);
    const bool at_once = delay.count() == 0;
    context_.events.error(EventKind::worker_death, dead.subject(),
                          at_once ? text + "; replaced at once" : text);
    slot.fill_after(delay);
    watch_queues();
    shorten_waits();
    if (at_once) return;
    context_.events.warning(
        EventKind::back_off, slot.subject(),
        slot.name() + " backs off: replaced in " + std::to_string(slot.next_attempt_ms - now) + " ms");
}

void Pool::shorten_waits() {
    const bool any_alive =
        std::ranges::any_of(slots_, [](const auto& slot) { return slot->worker != nullptr || slot->wanted; });
    if (any_alive) return;
    Slot* first = nullptr;
    for (const auto& slot : slots_) {
        if (!slot->respawn_timer.started()) continue;
        if (first == nullptr || slot->next_attempt_ms < first->next_attempt_ms) first = slot.get();
    }
    const std::int64_t latest = context_.loop.now_ms() + longest_wait_alone.count();
    if (first != nullptr && first->next_attempt_ms > latest) first->fill_after(longest_wait_alone);
}

void Pool::on_room_changed(WorkerProcess&) {
    room_pacer_.ask();
}

void Pool::follow_room() {
    steer_to_takers();
    watch_queues();
}

std::vector<WorkerProcess*> Pool::takers() const {
    std::vector<WorkerProcess*> answering;
    for (const auto& slot : slots_) {
        if (slot->worker != nullptr && slot->worker->answers()) answering.push_back(slot->worker.get());
    }
    const auto full = [](const WorkerProcess* worker) { return worker->full(); };
    if (!std::ranges::all_of(answering, full)) std::erase_if(answering, full);
    return answering;
}

void Pool::steer() {
    if (phase_ != Phase::serving) return;
    mend_sockets(Listener::Look::state);
    steer_to_takers();
}

// New connections go to the slots that serve and have room; to all that serve while none has; to all while
// none serves.
void Pool::steer_to_takers() {
    if (phase_ != Phase::serving) return;
    const std::vector<WorkerProcess*> to = takers();
    const bool full = !to.empty() && to.front()->full();
    std::vector<unsigned> slots;
    for (const auto& slot : slots_) {
        if (to.empty()) slots.push_back(slot->number);
        if (slot->worker != nullptr) slot->worker->tell_pool_full(full);
    }
    for (const WorkerProcess* const worker : to)
        slots.push_back(worker->identity().slot);
    try {
        for (const auto& listener : listeners_)
            listener->steer(slots);
    } catch (const std::exception& failure) {
        context_.events.error(EventKind::trouble, subject(),
                              "pool " + name() + " cannot steer connections: " + failure.what());
    }
}

// Workers hold the sockets, too, and one that went astray may have done anything to them. A fault that lasts
// is said once.
void Pool::mend_sockets(Listener::Look look) {
    std::string said;
    for (const auto& listener : listeners_) {
        const unsigned renewed = listener->take_renewed() ? listener->sockets() : 0;
        for (unsigned socket = 0; socket < renewed; ++socket)
            note_rebound(*listener, socket);
        for (const ListenerDamage& damage : listener->mend(look)) {
            const bool rebound = damage.now == ListenerDamage::Now::rebound;
            const bool lasting = damage.now == ListenerDamage::Now::lasting;
            said += (said.empty() ? "" : "; ") + listener->address().text() + ", socket " +
                    std::to_string(damage.slot) + ": it " + damage.what +
                    (lasting   ? std::string("; this lasts until ") + (listener->address().is_udp()
                                                                           ? "the master is started again"
                                                                           : "its workers are gone")
                     : rebound ? "; bound again"
                               : "; mended");
            if (rebound) note_rebound(*listener, damage.slot);
        }
    }
    if (!said.empty() && said != damage_said_) {
        context_.events.error(EventKind::trouble, subject(),
                              "pool " + name() + ": somebody changed a listening socket: " + said);
    }
    if (look == Listener::Look::options_too || !said.empty()) damage_said_ = said;
}

// A worker that watches the slot's queue has the old socket, too: it is told again.
void Pool::note_rebound(const Listener& listener, unsigned socket) {
    watchers_.erase(socket);
    for (const auto& slot : slots_) {
        if (!listener.shared() && slot->number != socket) continue;
        if (slot->worker != nullptr) slot->worker->set_has_old_socket();
        if (slot->newcomer != nullptr) slot->newcomer->set_has_old_socket();
    }
}

// Workers keep the socket that they have of an address: here a stand-in's, which gets nothing.
void Pool::adopt_listeners(std::vector<std::shared_ptr<Listener>> listeners) {
    const std::vector<std::shared_ptr<Listener>> before = std::exchange(listeners_, std::move(listeners));
    for (const auto& listener : listeners_) {
        const auto stood_in = [&](const auto& other) {
            return other->absent() && other->asked_for() == listener->asked_for();
        };
        if (listener->absent() || std::ranges::none_of(before, stood_in)) continue;
        for (unsigned socket = 0; socket < std::max(listener->sockets(), size()); ++socket)
            note_rebound(*listener, socket);
    }
}

unsigned Pool::times_rebound() const noexcept {
    unsigned times = 0;
    for (const auto& listener : listeners_)
        times += listener->times_rebound();
    return times;
}

void Pool::on_mend_time() {
    mend_sockets(Listener::Look::options_too);
    steer();
    // Workers that could not be told for want of a descriptor are told now.
    watch_queues();
    dismiss_slotless();
    replace_old_sockets();
}

void Pool::replace_old_sockets() {
    const std::int64_t now = context_.loop.now_ms();
    for (const auto& slot : slots_) {
        const bool old_socket = slot->worker != nullptr && slot->worker->has_old_socket();
        const bool too_soon = !slot->replace_reason.empty() || now < slot->no_recycling_before_ms;
        const bool too_many = leaving_.size() >= 2 * std::size_t{size()};
        if (old_socket && !too_soon && !too_many) restart(slot->number, "a listening socket was bound again");
    }
}

// The queue of a slot without a worker, or with a full one, is served by another worker. That one may have
// died or be full since, or no worker may have been there when the slot's own died.
void Pool::watch_queues() {
    std::vector<WorkerProcess*> serving = takers();
    if (serving.empty()) {
        serving = slotless();
        // Others number their listeners as another generation does.
        std::erase_if(serving, [this](const WorkerProcess* worker) {
            return !worker->answers() || worker->generation() != origin_.generation;
        });
    }
    if (serving.empty()) return;
    const bool full = serving.front()->full();
    for (const auto& slot : slots_) {
        const bool starting =
            slot->wanted || (slot->worker != nullptr && slot->worker->state() == WorkerState::starting);
        const bool unattended =
            slot->worker == nullptr || !slot->worker->answers() || (!full && slot->worker->full());
        if (unattended && !starting) watch_sockets_of(slot->number, serving);
    }
    for (unsigned slot = size(); sockets_timer_.started() && slot < listening(); ++slot)
        watch_sockets_of(slot, serving);
}

void Pool::watch_sockets_of(unsigned slot, const std::vector<WorkerProcess*>& serving) {
    const auto watcher = watchers_.find(slot);
    const std::int64_t now = context_.loop.now_ms();
    const bool watched = watcher != watchers_.end() && now - watcher->second.since_ms < watch_again.count() &&
                         std::ranges::any_of(serving, [&](const auto* worker) {
                             return worker->identity().instance == watcher->second.instance;
                         });
    if (watched) return;
    WorkerProcess& survivor = *serving[slot % serving.size()];
    bool told = true;
    for (unsigned i = 0; i < listeners_.size(); ++i) {
        if (!listeners_[i]->shared() && slot < listeners_[i]->listening())
            told = survivor.watch_socket(i, listeners_[i]->socket_for(slot)) && told;
    }
    if (told) watchers_[slot] = {survivor.identity().instance, now};
}

void Pool::watch_workers() {
    const bool wanted = settings_->hang_timeout_ms > 0 || settings_->memory_limit > 0;
    wanted ? watch_timer_.start_every(watch_interval) : watch_timer_.stop();
}

void Pool::look_after_workers() {
    bool changed = false;
    each_worker([&](WorkerProcess& worker) {
        // One that is not ready meets its start_timeout, also when it was told to leave meanwhile.
        if (worker.hangs() || !worker.ready()) return;
        changed = look_for_hang(worker) || changed;
        look_at_memory(worker);
    });
    if (!changed || phase_ != Phase::serving) return;
    steer();
    watch_queues();
}

// A worker that stands still gets nothing new until it goes on, or is ended for hanging.
void Pool::on_standstill(const Standstill& change) {
    for (const auto& slot : slots_) {
        WorkerProcess* const worker = slot->worker.get();
        if (worker == nullptr || worker->pid() != change.pid) continue;
        worker->set_stopped(change.stopped);
        if (const auto left_out = worker->standstill_lines().tell(change.stopped, context_.loop.now_ms())) {
            std::string text = worker->name() + (change.stopped ? " was stopped by a signal" : " goes on");
            if (*left_out > 0)
                text += "; " + std::to_string(*left_out) + " such changes before were not told";
            context_.events.warning(EventKind::standstill, worker->subject(), text);
            steer();
            watch_queues();
        } else {
            room_pacer_.ask();
        }
        observer_.on_status_changed();
    }
}

bool Pool::look_for_hang(WorkerProcess& worker) {
    const std::int64_t silent_ms = worker.silent_ms();
    if (settings_->hang_timeout_ms == 0 || silent_ms < settings_->hang_timeout_ms) return false;
    if (!context_.clock.settled() || !worker.had_its_chance()) return false;
    context_.events.error(EventKind::worker_killed, worker.subject(),
                          worker.name() + " hangs: no report for " + std::to_string(silent_ms) + " ms; " +
                              worker.end_hanging());
    return true;
}

// The kernel is asked, not the worker: one that eats memory in a loop does not report.
void Pool::look_at_memory(WorkerProcess& worker) {
    if (settings_->memory_limit == 0) return;
    const std::uint64_t resident = worker.resident_bytes();
    if (resident <= settings_->memory_limit) return;
    context_.events.error(EventKind::worker_killed, worker.subject(),
                          worker.name() + " has " + std::to_string(resident / 1024) +
                              " KiB of memory, more than memory_limit: killed");
    worker.kill("above memory_limit", DeathCause::memory_limit);
}

bool Pool::any_silent() const noexcept {
    if (settings_->hang_timeout_ms == 0) return false;
    return std::ranges::any_of(slots_, [&](const auto& slot) {
        return slot->worker != nullptr && slot->worker->state() == WorkerState::serving &&
               slot->worker->silent_ms() > 2 * settings_->report_interval_ms;
    });
}

const WorkerProcess* Pool::serving_in(unsigned slot) const noexcept {
    if (slot >= size()) return nullptr;
    const WorkerProcess* const worker = slots_[slot]->worker.get();
    return worker != nullptr && worker->state() == WorkerState::serving ? worker : nullptr;
}

void Pool::count_death(const WorkerProcess& worker, const ExitReport& report) const {
    context_.own_counters.count_death(worker.death_cause(report));
}

std::string Pool::obituary(const WorkerProcess& worker, const ExitReport& report) const {
    return worker.name() + " " + worker.cause_of_death(report);
}

}  // namespace drover
