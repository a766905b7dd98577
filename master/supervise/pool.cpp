#include "master/supervise/pool.h"

#include <algorithm>
#include <csignal>
#include <iterator>

namespace drover {

namespace {

// A handshake can be under way for about a minute (tcp_synack_retries, tcp(7)); workers watch a little less
// long.
constexpr std::chrono::milliseconds socket_retirement{75'000};
// How long damage to a listening socket lasts at the most.
constexpr std::chrono::milliseconds mend_interval{1000};
// Small workers fill up and have room again a thousand times a second.
constexpr std::chrono::milliseconds room_interval{20};
// Between them others of the loop have their turn.
constexpr unsigned starts_a_turn = 4;

}  // namespace

Pool::Pool(PoolContext& context, const PoolSettings& settings, Origin origin,
           std::vector<std::shared_ptr<Listener>> listeners, PoolObserver& observer)
    : context_(context),
      settings_(&settings),
      origin_(origin),
      listeners_(std::move(listeners)),
      observer_(observer),
      watch_timer_(context.loop, Timer::Handler::to<&Pool::look_after_workers>(this)),
      room_pacer_(context.loop, room_interval, Callback<void()>::to<&Pool::follow_room>(this)),
      mend_timer_(context.loop, Timer::Handler::to<&Pool::on_mend_time>(this)),
      sockets_timer_(context.loop, Timer::Handler::to<&Pool::on_sockets_quiet>(this)),
      fill_timer_(context.loop, Timer::Handler::to<&Pool::fill_wanted>(this)),
      log_timer_(context.loop, Timer::Handler::to<&Pool::send_log_files>(this)),
      replace_timer_(context.loop, Timer::Handler::to<&Pool::replace_next>(this)) {
    for (unsigned i = 0; i < settings.workers; ++i)
        slots_.push_back(std::make_unique<Slot>(*this, i));
}

Pool::~Pool() = default;

RespawnPolicy::Rule Pool::respawn_rule() const noexcept {
    return {.burst = settings_->respawn.burst,
            .first_delay = std::chrono::milliseconds(settings_->respawn.delay_ms),
            .longest_delay = std::chrono::milliseconds(settings_->respawn.max_delay_ms)};
}

void Pool::start() {
    rebound_at_start_ = times_rebound();
    for (const auto& slot : slots_)
        slot->fill_soon();
}

// By index: who hears of a failure may retire the pool.
void Pool::fill_wanted() {
    unsigned started = 0;
    for (std::size_t i = 0; i < slots_.size(); ++i) {  // NOLINT(modernize-loop-convert)
        if (!slots_[i]->wanted) continue;
        if (started++ == starts_a_turn) return fill_timer_.start_once(std::chrono::milliseconds(0));
        slots_[i]->fill();
    }
}

bool Pool::all_ready() const noexcept {
    return std::ranges::all_of(
        slots_, [](const auto& slot) { return slot->worker != nullptr && slot->worker->ready(); });
}

std::vector<ListenerUse> Pool::uses(const PoolSettings& settings,
                                    const std::vector<std::shared_ptr<Listener>>& listeners) const {
    std::vector<ListenerUse> uses;
    for (std::size_t i = 0; i < listeners.size(); ++i)
        uses.push_back({listeners[i], settings.listen[i].listener, size(), &settings.listen[i]});
    return uses;
}

void Pool::serve() {
    phase_ = Phase::serving;
    // The generation before mends sockets while this one starts, and tells its own workers alone.
    const bool old_sockets = times_rebound() != rebound_at_start_;
    each_worker([old_sockets](WorkerProcess& worker) {
        if (old_sockets) worker.set_has_old_socket();
        if (worker.ready()) worker.serve();
    });
    watch_workers();
    mend_timer_.start_every(mend_interval);
    steer();
}

void Pool::retire(int signal) {
    begin_retirement();
    each_worker([this, signal](WorkerProcess& worker) {
        worker.leave(signal, std::chrono::milliseconds(settings_->drain_timeout_ms));
    });
}

// A worker that is told twice stops handing over: those that leave already are not told again.
void Pool::make_way() {
    begin_retirement();
    each_worker([this](WorkerProcess& worker) {
        if (worker.state() != WorkerState::draining) leave(worker);
    });
}

void Pool::begin_retirement() {
    phase_ = Phase::retired;
    mend_timer_.stop();
    sockets_timer_.stop();
    fill_timer_.stop();
    replace_timer_.stop();
    for (const auto& slot : slots_) {
        slot->forgive();
        slot->replace_reason.clear();
        drop_newcomer(*slot);
    }
}

void Pool::hand_over_to(const Pool& successor) {
    for (const auto& slot : successor.slots_) {
        if (slot->worker != nullptr && slot->worker->ready()) hand_over_to(successor, *slot->worker);
    }
}

void Pool::hand_over_to(const Pool& successor, WorkerProcess& newcomer) {
    each_worker([&](WorkerProcess& worker) {
        const bool ours = worker.identity().slot % successor.size() == newcomer.identity().slot;
        if (ours && worker.ready() && &worker != &newcomer)
            worker.hand_over_to(newcomer, handover_limit(), context_.reserve);
    });
}

bool Pool::grow() {
    if (phase_ != Phase::serving || size() >= max_workers) return false;
    const unsigned number = size();
    for (const auto& listener : listeners_) {
        if (listener->sockets() <= number) listener->resize(number + 1);
    }
    slots_.push_back(std::make_unique<Slot>(*this, number));
    slots_.back()->fill_soon();
    return true;
}

// The sockets of those that go are watched by those that stay.
void Pool::shrink(unsigned to) {
    if (phase_ != Phase::serving || to < 1 || to >= size()) return;
    const auto first = slots_.begin() + static_cast<std::ptrdiff_t>(to);
    const std::vector<std::unique_ptr<Slot>> going(std::make_move_iterator(first),
                                                   std::make_move_iterator(slots_.end()));
    slots_.erase(first, slots_.end());
    steer();
    for (const auto& slot : going) {
        drop_newcomer(*slot);
        if (slot->worker == nullptr) continue;
        leaving_.push_back(std::move(slot->worker));
        if (leaving_.back()->state() != WorkerState::serving) leave(*leaving_.back());
    }
    dismiss_slotless();
    retire_sockets();
    replace_next();  // the one that was being replaced may be gone
    observer_.on_status_changed();
}

unsigned Pool::serving() const noexcept {
    return static_cast<unsigned>(std::ranges::count_if(
        slots_, [](const auto& slot) { return slot->worker != nullptr && slot->worker->answers(); }));
}

Pool::Draining Pool::draining() const {
    Draining all;
    each_worker([&all](const WorkerProcess& worker) {
        if (worker.state() != WorkerState::draining) return;
        ++all.workers;
        all.connections += worker.last_report().connections;
        all.return_addresses += worker.last_report().return_addresses;
    });
    return all;
}

bool Pool::any_accepting() const noexcept {
    bool any = false;
    each_worker([&any](const WorkerProcess& worker) { any = any || !worker.stopped_accepting(); });
    return any;
}

bool Pool::empty() const noexcept {
    return leaving_.empty() && std::ranges::none_of(slots_, [](const auto& slot) {
               return slot->worker != nullptr || slot->newcomer != nullptr;
           });
}

void Pool::kill_accepting() {
    each_worker([this](WorkerProcess& worker) {
        if (worker.stopped_accepting()) return;
        context_.events.error(EventKind::worker_killed, worker.subject(),
                              worker.name() + " did not stop accepting when told: killed");
        worker.kill("did not stop accepting");
    });
}

void Pool::retire_sockets() {
    if (listening() <= size()) return;
    sockets_timer_.start_once(socket_retirement);
    watch_queues();
}

// A shared socket belongs to all slots.
unsigned Pool::listening() const noexcept {
    unsigned most = 0;
    for (const auto& listener : listeners_) {
        if (!listener->shared()) most = std::max(most, listener->listening());
    }
    return most;
}

void Pool::hold_sockets() noexcept {
    sockets_timer_.stop();
}

void Pool::on_sockets_quiet() {
    if (!slotless().empty()) return retire_sockets();  // some still accept from them
    for (const auto& listener : listeners_) {
        if (listener->sockets() > size()) listener->resize(size());
    }
}

void Pool::drop_idle_sockets() {
    for (const auto& listener : listeners_)
        listener->drop_idle_sockets(size());
}

void Pool::follow_renewed(std::vector<std::shared_ptr<Listener>> listeners) {
    adopt_listeners(std::move(listeners));
    steer();
    replace_old_sockets();
}

// A worker of another generation numbers its listeners as that does.
void Pool::turn_away_all_but(const std::vector<std::shared_ptr<Listener>>& kept) {
    for (unsigned i = 0; i < listeners_.size(); ++i) {
        if (std::ranges::find(kept, listeners_[i]) != kept.end()) continue;
        listeners_[i]->turn_away();
        each_worker([&](WorkerProcess& worker) {
            if (worker.generation() == origin_.generation) worker.tell_listener_ends(i);
        });
    }
}

void Pool::refuse_new() {
    try {
        for (const auto& listener : listeners_)
            listener->refuse_new();
    } catch (const std::exception& failure) {
        // A client that comes in the last moment is reset.
        context_.events.info(
            EventKind::trouble, subject(),
            "pool " + name() + " cannot hold new connections off while it stops: " + failure.what());
    }
}

std::string Pool::listening_text() const {
    std::string text;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
        if (i > 0) text += ", ";
        text += listeners_[i]->address().text() + " (" + std::string(settings_->listen[i].module) +
                (listeners_[i]->absent() ? ", absent)" : ")");
    }
    return text;
}

void Pool::each_worker(const std::function<void(WorkerProcess&)>& visit) const {
    for (const auto& slot : slots_) {
        if (slot->worker != nullptr) visit(*slot->worker);
        if (slot->newcomer != nullptr) visit(*slot->newcomer);
    }
    for (const auto& worker : leaving_)
        visit(*worker);
}

Pool::Slot* Pool::find_slot(const WorkerProcess& worker) const noexcept {
    const auto found = std::ranges::find_if(slots_, [&](const auto& slot) {
        return slot->worker.get() == &worker || slot->newcomer.get() == &worker;
    });
    return found == slots_.end() ? nullptr : found->get();
}

void Pool::append_status(std::vector<WorkerStatus>& lines) const {
    const auto line = [this](unsigned slot) {
        WorkerStatus status;
        settings_->name.copy(status.pool, sizeof(status.pool) - 1);
        status.slot = slot;
        status.report_interval_ms = static_cast<std::uint32_t>(settings_->report_interval_ms);
        return status;
    };
    for (const auto& slot : slots_) {
        WorkerStatus status = line(slot->number);
        slot->describe(status);
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
        if (slot->newcomer == nullptr) continue;
        lines.push_back(line(slot->number));
        slot->newcomer->describe(lines.back());
    }
    for (const auto& worker : leaving_) {
        WorkerStatus status = line(worker->identity().slot);
        worker->describe(status);
        lines.push_back(status);
    }
}

}  // namespace drover
