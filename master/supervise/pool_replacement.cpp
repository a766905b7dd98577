// How a pool replaces a worker on purpose: a newcomer starts beside it, and when it is ready it takes over
// slot, socket and connections. One slot of the pool at a time; what fails leaves the worker as it was.
#include "core/base/exit_code.h"
#include "master/supervise/pool.h"
#include "master/supervise/recycle_policy.h"

#include <algorithm>
#include <csignal>
#include <utility>

namespace drover {

namespace {

// Between two tries to start a successor while the machine has no room for one.
constexpr std::chrono::milliseconds successor_delay{500};
constexpr std::size_t most_heirs = 16;  // each is a channel between the two

}  // namespace

bool Pool::restart(unsigned slot, std::string reason) {
    if (phase_ != Phase::serving || slot >= size()) return false;
    Slot& place = *slots_[slot];
    // An empty slot waits for its next worker anyway: it need not wait any longer.
    if (place.worker == nullptr) {
        place.forgive();
        place.fill_soon();
        return true;
    }
    if (place.worker->state() != WorkerState::serving) return true;
    place.replace_reason = std::move(reason);
    replace_next();
    return true;
}

void Pool::retry_given_up() {
    if (phase_ != Phase::serving) return;
    for (const auto& slot : slots_) {
        if (!slot->given_up()) continue;
        slot->forgive();
        slot->fill_soon();
    }
}

void Pool::on_leave_wanted(WorkerProcess& worker) {
    Slot* const slot = find_slot(worker);
    if (slot == nullptr || phase_ != Phase::serving) return;
    restart(slot->number, "it asks for a successor");
}

void Pool::consider_recycling(Slot& slot) {
    const WorkerProcess& worker = *slot.worker;
    const std::int64_t now = context_.loop.now_ms();
    const Report& report = worker.last_report();
    if (slot.first_resident == 0) slot.first_resident = report.resident_bytes;
    const bool too_soon = !slot.replace_reason.empty() || now < slot.no_recycling_before_ms;
    // Those before it must have left: what cannot be handed over would pile up.
    const bool too_many = leaving_.size() >= size();
    if (phase_ != Phase::serving || worker.state() != WorkerState::serving || too_soon || too_many) return;
    const WorkerAge age{.accepted = report.accepted,
                        .first_resident_bytes = slot.first_resident,
                        .resident_bytes = report.resident_bytes,
                        .age_ms = now - worker.started_ms()};
    slot.replace_reason = recycle_reason(*settings_, age, slot.jitter);
    if (!slot.replace_reason.empty()) replace_next();
}

void Pool::replace_next() {
    if (phase_ != Phase::serving || replace_timer_.started()) return;
    const auto starts = [](const auto& slot) { return slot->newcomer != nullptr; };
    if (std::ranges::any_of(slots_, starts)) return;
    const auto wants = [](const auto& slot) {
        return !slot->replace_reason.empty() && slot->worker != nullptr &&
               slot->worker->state() == WorkerState::serving;
    };
    const auto next = std::ranges::find_if(slots_, wants);
    if (next == slots_.end()) return;
    Slot& slot = **next;
    context_.events.info(EventKind::replacement, slot.worker->subject(),
                         slot.worker->name() + " is being replaced: " + slot.replace_reason);
    try {
        slot.newcomer = slot.start_worker();
        lacks_successors_ = false;
    } catch (const std::exception& failure) {
        on_no_successor(slot, std::string("cannot start a worker: ") + failure.what());
    }
}

// The machine lacks something for a moment: the worker serves on, and it is tried again.
void Pool::on_no_successor(Slot& slot, const std::string& reason) {
    if (!std::exchange(lacks_successors_, true))
        context_.events.error(EventKind::replacement, slot.worker->subject(),
                              reason + "; tried again until it can be");
    replace_timer_.start_once(successor_delay);
    observer_.on_replacement_failed(*this, slot.number, reason);
}

void Pool::take_over(Slot& slot) {
    context_.events.info(EventKind::replacement, slot.newcomer->subject(),
                         slot.newcomer->name() + " takes over from " + slot.worker->name());
    slot.replace_reason.clear();
    ++slot.restarts;
    leaving_.push_back(std::move(slot.worker));
    slot.worker = std::move(slot.newcomer);
    begin_serving(*slot.worker);
    replace_next();
}

std::vector<WorkerProcess*> Pool::slotless() const {
    std::vector<WorkerProcess*> serving;
    for (const auto& worker : leaving_) {
        if (worker->state() == WorkerState::serving) serving.push_back(worker.get());
    }
    return serving;
}

// They leave as soon as somebody has been told to take their clients.
void Pool::dismiss_slotless() {
    for (WorkerProcess* const worker : slotless()) {
        bool told = false;
        for (WorkerProcess* const heir : heirs_of(*worker))
            told = worker->hand_over_to(*heir, handover_limit(), context_.reserve) || told;
        if (told) leave(*worker);
    }
}

// Whoever serves in its slot; when that is gone those that serve, several of them.
std::vector<WorkerProcess*> Pool::heirs_of(const WorkerProcess& worker) const {
    const unsigned number = worker.identity().slot;
    std::vector<WorkerProcess*> heirs;
    for (unsigned i = 0; i < size() && heirs.size() < most_heirs; ++i) {
        const Slot& slot = *slots_[(number + i) % size()];
        const bool serves = slot.worker != nullptr && slot.worker->state() == WorkerState::serving;
        if (serves) heirs.push_back(slot.worker.get());
        if (serves && slot.number == number) break;
    }
    return heirs;
}

void Pool::leave(WorkerProcess& worker) const {
    worker.leave(SIGTERM, std::chrono::milliseconds(settings_->drain_timeout_ms));
}

// It has no connection yet.
void Pool::drop_newcomer(Slot& slot) {
    if (slot.newcomer == nullptr) return;
    slot.newcomer->discard("not needed any more");
    leaving_.push_back(std::move(slot.newcomer));
}

void Pool::on_newcomer_lost(Slot& slot, const ExitReport& report) {
    const std::unique_ptr<WorkerProcess> newcomer = std::move(slot.newcomer);
    newcomer->on_exit();
    const std::string text = newcomer->name() + " " + newcomer->cause_of_death(report);
    if (phase_ != Phase::serving)
        return context_.events.info(EventKind::worker_exit, newcomer->subject(), text);
    count_death(*newcomer, report);
    on_replacement_failed(slot, text, EventKind::worker_death, newcomer->subject());
}

// The worker serves on. Recycling is tried again, but not at once.
void Pool::on_replacement_failed(Slot& slot, const std::string& reason, EventKind kind,
                                 const EventSubject& subject) {
    context_.events.error(
        kind, subject, reason + "; " + slot.worker->name() + (slot.worker->outdated() ? " goes" : " stays"));
    slot.replace_reason.clear();
    if (slot.worker->outdated()) slot.worker->kill("outdated, and its successor could not start");
    slot.no_recycling_before_ms = context_.loop.now_ms() + settings_->respawn.max_delay_ms;
    observer_.on_replacement_failed(*this, slot.number, reason);
    replace_next();
}

}  // namespace drover
