// Pool is one generation's set of like workers: slots, each filled by a worker, refilled when it dies. A pool
// starts its workers gated (ready, not accepting), serves when its generation is switched to, and is retired
// when the next one is. While it serves, new connections are steered to the slots that do. Owned by its
// Generation. Runs in: the master. pool.cpp: how it lives. pool_slot.cpp: how a slot is filled.
// pool_supervision.cpp: deaths, hangs, steering. pool_replacement.cpp: workers that are replaced on purpose.
// pool_hot_reload.cpp: a reload in place.
#pragma once

#include "conf/settings.h"
#include "core/counters/counter_table.h"
#include "core/loop/event_loop.h"
#include "core/loop/run_clock.h"
#include "core/net/listener.h"
#include "core/process/descriptor_reserve.h"
#include "core/protocol/status_page.h"
#include "master/control/observation_desk.h"
#include "master/event_log.h"
#include "master/master_counters.h"
#include "master/reload/listener_registry.h"
#include "master/supervise/pacer.h"
#include "master/supervise/respawn_policy.h"
#include "master/supervise/worker_process.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace drover {

// What the pools of all generations share; owned by the master.
struct PoolContext {
    EventLoop& loop;
    const RunClock& clock;  // for all that workers are judged by
    EventLog& events;
    CounterTable& counters;
    MasterCounters& own_counters;
    ObservationDesk& desk;  // where workers may ask
    int lifeline_fd;
    std::span<const ModuleFactory> modules;
    std::uint64_t next_instance;
    LogTarget log = {};                               // the master's; workers get it, too
    std::uint64_t log_turn = 0;                       // how often log files have been opened again
    std::minstd_rand random{std::random_device{}()};  // for jitter
    FileRegistry files = {};
    DescriptorReserve reserve{WorkerProcess::hand_over_descriptors};
};

class Pool;

// The master, which decides over pools. No call may destroy the pool.
class PoolObserver {
  public:
    virtual ~PoolObserver() = default;
    virtual void on_worker_ready(Pool& pool, WorkerProcess& worker) = 0;
    // A gated pool lost a worker, or one was not ready in time.
    virtual void on_start_failed(Pool& pool, const std::string& reason) = 0;
    // A worker stopped accepting, or is gone.
    virtual void on_worker_quiet(Pool& pool) = 0;
    // A hot reload: a worker says yes, a worker says no, a worker has committed.
    virtual void on_prepared(Pool& pool) = 0;
    virtual void on_not_prepared(Pool& pool, const std::string& reason) = 0;
    virtual void on_committed(Pool& pool) = 0;
    // A worker ended that nobody had told to; `ready`: it had been.
    virtual void on_worker_lost(Pool& pool, const WorkerProcess& worker, const std::string& text) = 0;
    // A slot that is to have a worker could not get one for want of something; it is tried again.
    virtual void on_not_filled(Pool& pool, unsigned slot, const std::string& reason) = 0;
    // A process is not waited for any more: it does not end.
    virtual void on_given_up() = 0;
    // The worker in the slot stays.
    virtual void on_replacement_failed(Pool& pool, unsigned slot, const std::string& reason) = 0;
    virtual void on_status_changed() = 0;
};

class Pool : private WorkerObserver {
  public:
    struct Origin {
        std::uint64_t generation = 0;
        int image_fd = -1;
        std::vector<int> library_fds = {};
        std::vector<std::shared_ptr<const OpenedFile>> files = {};  // for its modules
    };

    static constexpr std::chrono::milliseconds watch_interval{500};

    // Settings and context outlive the pool; there is a listener for each of settings.listen.
    Pool(PoolContext& context, const PoolSettings& settings, Origin origin,
         std::vector<std::shared_ptr<Listener>> listeners, PoolObserver& observer);
    ~Pool() override;

    const std::string& name() const noexcept { return settings_->name; }
    EventSubject subject() const noexcept { return {.pool = name(), .generation = origin_.generation}; }
    const PoolSettings& settings() const noexcept { return *settings_; }
    // One for each of settings().listen.
    const std::vector<std::shared_ptr<Listener>>& listeners() const noexcept { return listeners_; }

    // Starts a worker in every slot, a few in each turn of the loop; on_start_failed says when one cannot be.
    void start();
    bool all_ready() const noexcept;
    // What it needs of its listeners (use_listeners), and of those to come.
    std::vector<ListenerUse> listener_uses() const { return uses_of(listeners_); }
    std::vector<ListenerUse> uses_of(const std::vector<std::shared_ptr<Listener>>& listeners) const {
        return uses(*settings_, listeners);
    }
    std::vector<ListenerUse> next_listener_uses() const { return uses(*next_.settings, next_.listeners); }
    // The gate opens: workers accept; from now on the dead are replaced.
    void serve();
    // A hot reload (pool_hot_reload.cpp). Asks every worker that serves to prepare `next`.
    struct Next {
        const PoolSettings* settings = nullptr;
        Origin origin;
        std::vector<std::shared_ptr<Listener>> listeners;
    };
    void prepare(Next next);
    bool all_prepared() const noexcept;
    // From here on there is no way back: who has prepared commits, who has not is replaced, the pool grows or
    // shrinks. The new listeners listen already.
    void commit();
    void abandon();
    void replace_uncommitted();
    // Every slot is filled by a worker of this generation that serves it.
    bool all_committed() const noexcept;

    // No more respawns; every worker drains on `signal` (SIGTERM or SIGQUIT) or leaves (SIGINT, SIGKILL).
    void retire(int signal);
    // The next generation serves: no more respawns, every worker that does not leave already drains.
    void make_way();
    // Each worker gives its connections to the one in the same slot of `successor`, or of the slots that it
    // has.
    void hand_over_to(const Pool& successor);
    // The same for those that `newcomer` of `successor` is to take over from.
    void hand_over_to(const Pool& successor, WorkerProcess& newcomer);
    // One worker more. False at the bound (max_workers). Throws std::system_error.
    bool grow();
    // So many workers, at least 1, are left; the highest slots go.
    void shrink(unsigned to);

    // Replaces the worker of a slot by a new one that takes its connections over. False: there is no such
    // slot, or the pool does not serve.
    bool restart(unsigned slot, std::string reason);
    // Slots that were given up get a worker again.
    void retry_given_up();
    // The worker that fills the slot and serves; null: there is no such worker.
    const WorkerProcess* serving_in(unsigned slot) const noexcept;
    // A worker that serves has not reported for longer than two of its intervals.
    bool any_silent() const noexcept;

    unsigned size() const noexcept { return static_cast<unsigned>(slots_.size()); }
    unsigned serving() const noexcept;  // and are neither stopped nor hang
    struct Draining {
        std::uint64_t workers = 0;
        std::uint64_t connections = 0;       // as last reported
        std::uint64_t return_addresses = 0;  // so, too
    };
    Draining draining() const;
    bool any_accepting() const noexcept;
    bool empty() const noexcept;  // no process is left
    void kill_accepting();        // those that still accept although told to stop

    // Sockets of slots that the pool does not have get no new connections; who serves takes what is in their
    // queues, until no handshake can be under way any more and they are closed.
    void retire_sockets();
    // They are not closed before the next retire_sockets(): workers of a next generation may be given them.
    void hold_sockets() noexcept;
    // Sockets that were bound for slots that never came.
    void drop_idle_sockets();
    // New connections go to the slots that serve; to all while none does.
    void steer();
    // The same listeners, of which some may have been bound again, and all listen: workers that have old
    // sockets are replaced.
    void follow_renewed(std::vector<std::shared_ptr<Listener>> listeners);
    // Nothing new comes to listeners that are not among `kept`, and workers are told.
    void turn_away_all_but(const std::vector<std::shared_ptr<Listener>>& kept);
    // The kernel opens no new connections.
    void refuse_new();
    void release_listeners() noexcept { listeners_.clear(); }
    std::string listening_text() const;  // "127.0.0.1:8080 (http), ..."

    // True when `pid` was one of this pool's workers.
    bool on_exit(pid_t pid, const ExitReport& report);
    void on_standstill(const Standstill& change);
    void send_log_files();  // the log and the modules' files, opened again
    // Names of those that serve or drain and still write to files from before that.
    void append_log_laggards(std::vector<std::string>& names) const;
    void append_status(std::vector<WorkerStatus>& lines) const;

  private:
    RespawnPolicy::Rule respawn_rule() const noexcept;
    std::vector<ListenerUse> uses(const PoolSettings& settings,
                                  const std::vector<std::shared_ptr<Listener>>& listeners) const;
    std::chrono::milliseconds handover_limit() const noexcept {
        return std::chrono::milliseconds(settings_->handover_timeout_ms);
    }
    enum class Phase { gated, serving, retired };
    struct Slot {
        Slot(Pool& pool, unsigned number);
        void fill();
        void fill_soon();
        void fill_after(std::chrono::milliseconds delay);
        std::unique_ptr<WorkerProcess> start_worker();
        bool given_up() const noexcept { return worker == nullptr && !wanted && !respawn_timer.started(); }
        // Deaths under another configuration do not count.
        void forgive();
        void note_death(const std::string& reason);
        void describe(WorkerStatus& status) const noexcept;
        EventSubject subject() const noexcept;
        std::string name() const { return "worker " + pool.name() + "/" + std::to_string(number); }

        Pool& pool;
        unsigned number;
        std::unique_ptr<WorkerProcess> worker;    // null: between two workers
        std::unique_ptr<WorkerProcess> newcomer;  // starts beside the worker, to take its place
        std::string replace_reason;               // why the worker is to be replaced; empty: it is not
        double jitter = 0;                        // of the worker's recycling, in [0, 1)
        std::uint64_t first_resident = 0;         // bytes, when the worker reported first; 0: not yet
        RespawnPolicy policy;
        Timer respawn_timer;
        bool wanted = false;                      // a worker, as soon as it is this slot's turn
        std::int64_t no_recycling_before_ms = 0;  // a replacement has failed
        std::int64_t next_attempt_ms = 0;
        std::uint32_t restarts = 0;
        std::uint32_t deaths = 0;
        std::array<WorkerDeath, WorkerStatus::most_deaths> recent_deaths{};  // the newest first
        unsigned unfit_starts = 0;  // in a row that ended with the configuration's exit code before Ready
    };

    void prepare(WorkerProcess& worker);
    void commit(Slot& slot);
    void on_ready(WorkerProcess& worker) override;
    void on_late(WorkerProcess& worker) override;
    void on_unkillable(WorkerProcess& worker) override;
    void on_stopped_accepting(WorkerProcess& worker) override;
    void on_handed_over(WorkerProcess& worker, const HandoverResult& result) override;
    void on_leave_wanted(WorkerProcess& worker) override;
    void on_report(WorkerProcess& worker) override;
    void on_room_changed(WorkerProcess& worker) override;
    void on_broken(WorkerProcess& worker, std::string_view reason) override;
    void on_prepared(WorkerProcess& worker) override;
    void on_not_prepared(WorkerProcess& worker, std::string_view reason) override;
    void on_committed(WorkerProcess& worker) override;
    void on_log_files_taken(WorkerProcess& worker) override;

    void bury(Slot& slot, const ExitReport& report);
    void respawn(Slot& slot, const WorkerProcess& dead, const ExitReport& report);
    void replace_left(Slot& slot);
    void replace_outdated(Slot& slot, const std::string& reason);
    void begin_retirement();
    void begin_serving(WorkerProcess& worker);
    // Workers that have no slot any more and still serve: nobody could take their clients so far.
    std::vector<WorkerProcess*> slotless() const;
    void dismiss_slotless();
    std::vector<WorkerProcess*> heirs_of(const WorkerProcess& worker) const;
    void leave(WorkerProcess& worker) const;
    void fill_empty(Slot& slot);
    void fill_wanted();
    // Those that new connections should go to: who has room, else who answers.
    std::vector<WorkerProcess*> takers() const;
    void consider_recycling(Slot& slot);
    void replace_next();
    void take_over(Slot& slot);
    void drop_newcomer(Slot& slot);
    void on_newcomer_lost(Slot& slot, const ExitReport& report);
    void on_no_successor(Slot& slot, const std::string& reason);
    void on_replacement_failed(Slot& slot, const std::string& reason, EventKind kind,
                               const EventSubject& subject);
    void shorten_waits();
    void watch_queues();
    void follow_room();
    void steer_to_takers();
    void mend_sockets(Listener::Look look);
    void note_rebound(const Listener& listener, unsigned socket);
    void adopt_listeners(std::vector<std::shared_ptr<Listener>> listeners);
    unsigned times_rebound() const noexcept;
    void on_mend_time();
    void replace_old_sockets();
    void watch_sockets_of(unsigned slot, const std::vector<WorkerProcess*>& serving);
    unsigned listening() const noexcept;  // sockets of the listener that has most of them
    void look_after_workers();
    bool look_for_hang(WorkerProcess& worker);
    void look_at_memory(WorkerProcess& worker);
    void watch_workers();
    void on_sockets_quiet();
    void count_death(const WorkerProcess& worker, const ExitReport& report) const;
    void record_departure(const WorkerProcess& worker, const ExitReport& report) const;
    std::string obituary(const WorkerProcess& worker, const ExitReport& report) const;
    Slot* find_slot(const WorkerProcess& worker) const noexcept;
    void each_worker(const std::function<void(WorkerProcess&)>& visit) const;

    PoolContext& context_;
    const PoolSettings* settings_;
    Origin origin_;
    Next next_;  // while a hot reload is prepared
    std::vector<std::shared_ptr<Listener>> listeners_;
    PoolObserver& observer_;
    Phase phase_ = Phase::gated;
    std::vector<std::unique_ptr<Slot>> slots_;
    std::vector<std::unique_ptr<WorkerProcess>> leaving_;  // of slots that were taken away or filled again
    struct Watcher {
        std::uint64_t instance = 0;
        std::int64_t since_ms = 0;
    };
    std::map<unsigned, Watcher> watchers_;  // by slot: the worker that accepts from its sockets, too
    Timer watch_timer_;
    Pacer room_pacer_;  // of workers that fill up, or have room again
    Timer mend_timer_;
    std::string damage_said_;        // of the sockets, last
    unsigned rebound_at_start_ = 0;  // times_rebound() when the first worker was started
    Timer sockets_timer_;            // until retired sockets are closed
    Timer fill_timer_;               // while slots wait for their turn to get a worker
    Timer log_timer_;                // log files could not be sent to all
    Timer replace_timer_;            // no successor could be started: it is tried again
    bool lacks_successors_ = false;
};

}  // namespace drover
