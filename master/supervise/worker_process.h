// WorkerProcess is one worker as the master knows it: process, channel, report pipe, row, and what it has
// said. It is known by its instance, pid and pidfd, never by being our child. Owned by its pool; destroyed
// after it was reaped. Runs in: the master.
#pragma once

#include "core/counters/counter_table.h"
#include "core/log/log_target.h"
#include "core/loop/event_loop.h"
#include "core/loop/run_clock.h"
#include "core/process/descriptor_reserve.h"
#include "core/process/process.h"
#include "core/protocol/channel.h"
#include "core/protocol/report_pipe.h"
#include "core/protocol/status_page.h"
#include "master/control/observation_desk.h"
#include "master/event_log.h"
#include "master/master_counters.h"
#include "master/reload/file_registry.h"
#include "master/supervise/standstill_lines.h"
#include "worker/worker.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace drover {

class WorkerProcess;

// Is told what becomes of a worker. No call but on_unkillable may destroy it.
class WorkerObserver {
  public:
    virtual ~WorkerObserver() = default;
    virtual void on_ready(WorkerProcess& worker) = 0;
    // It is not ready within its start_timeout.
    virtual void on_late(WorkerProcess& worker) = 0;
    // It has not ended although it was sent KILL: the kernel lets it wait (state D), perhaps for ever.
    virtual void on_unkillable(WorkerProcess& worker) = 0;
    virtual void on_stopped_accepting(WorkerProcess& worker) = 0;
    virtual void on_handed_over(WorkerProcess& worker, const HandoverResult& result) = 0;
    // Somebody else than the master told it to leave; it serves on until it is replaced.
    virtual void on_leave_wanted(WorkerProcess& worker) = 0;
    virtual void on_report(WorkerProcess& worker) = 0;
    // It has no room for new connections any more, or some again.
    virtual void on_room_changed(WorkerProcess& worker) = 0;
    // A hot reload: it can commit; it cannot; it has.
    virtual void on_prepared(WorkerProcess& worker) = 0;
    virtual void on_not_prepared(WorkerProcess& worker, std::string_view reason) = 0;
    virtual void on_committed(WorkerProcess& worker) = 0;
    virtual void on_log_files_taken(WorkerProcess& worker) = 0;
    // It broke the protocol or cannot be heard: it has to go.
    virtual void on_broken(WorkerProcess& worker, std::string_view reason) = 0;
};

// What a worker is made from. Descriptors are borrowed.
struct WorkerRecipe {
    WorkerIdentity identity;
    std::uint64_t generation = 0;
    int image_fd = -1;
    const LogTarget* log = nullptr;
    std::uint64_t log_turn = 0;  // WorkerProcess::log_turn
    int lifeline_fd = -1;
    std::vector<int> library_fds;
    std::vector<int> listener_fds;
    std::vector<std::shared_ptr<const OpenedFile>> files;
    std::span<const ModuleFactory> modules;
    ObservationDesk* desk = nullptr;  // where it may ask
    bool observes = false;            // and for more than the status
    std::chrono::milliseconds start_timeout{0};
};

class WorkerProcess {
  public:
    // Takes a row, forks, sends all that the worker needs and tells it to start. Throws std::system_error
    // (fork) or std::length_error (no row is free).
    WorkerProcess(const RunClock& clock, CounterTable& counters, const WorkerRecipe& recipe,
                  WorkerObserver& observer);
    // Folds its counters: the process must have been reaped (or never run).
    ~WorkerProcess();

    pid_t pid() const noexcept { return process_.pid(); }
    const WorkerIdentity& identity() const noexcept { return identity_; }
    std::string name() const;  // "worker main/0 (pid 1234)"
    EventSubject subject() const noexcept;
    WorkerState state() const noexcept { return state_; }
    bool ready() const noexcept { return ready_ms_ != 0; }
    // It has said so, or never accepted.
    bool stopped_accepting() const noexcept { return stopped_accepting_; }
    std::int64_t started_ms() const noexcept { return started_ms_; }
    std::int64_t ready_ms() const noexcept { return ready_ms_; }  // 0: not yet
    const Report& last_report() const noexcept { return last_report_; }
    // "killed by signal 9", and what is known of the cause: the worker's last words, or why the master ended
    // it.
    std::string cause_of_death(const ExitReport& report) const;
    DeathCause death_cause(const ExitReport& report) const noexcept;

    void serve();
    // A hot reload. `commit` is for one that has prepared; it belongs to the new generation from then on.
    // One that cannot be sent all of it, for want of descriptors, does not prepare.
    void prepare(const WorkerRecipe& next);
    void commit();
    void abandon();
    bool prepared() const noexcept { return prepared_; }
    bool committed() const noexcept { return !committing_; }
    std::uint64_t generation() const noexcept { return generation_; }
    // TERM or QUIT: the worker drains; INT or KILL: it leaves at once. With TERM it is killed when it has not
    // left within `drain_timeout` and a little; one that is stopped (SIGSTOP) cannot drain and is killed now.
    void leave(int signal, std::chrono::milliseconds drain_timeout);
    // It accepts from `socket`, too, for a while: what waits there belongs to nobody else. False when it
    // cannot be told.
    bool watch_socket(unsigned listener, int socket);

    // Nothing new comes to that listener any more: the worker accepts the connections that are queued or
    // being opened there before it leaves.
    void tell_listener_ends(unsigned listener);

    // For how long nothing has been heard of it while the master could listen.
    std::int64_t silent_ms() const noexcept;
    // It serves what it should on the sockets that it should have, and is neither stopped nor known to hang.
    bool answers() const noexcept {
        return state_ == WorkerState::serving && !hangs_ && !stopped_ && !outdated_ && !has_old_socket_;
    }
    // It has said that it holds max_connections.
    bool full() const noexcept { return last_report_.full != 0; }
    // Whether any worker of its pool has room.
    void tell_pool_full(bool full);
    // It serves a generation that it should not serve any more.
    bool outdated() const noexcept { return outdated_; }
    void set_outdated() noexcept { outdated_ = true; }
    // A listening socket that it was given has been replaced by another one since.
    bool has_old_socket() const noexcept { return has_old_socket_; }
    void set_has_old_socket() noexcept { has_old_socket_ = true; }
    bool hangs() const noexcept { return hangs_; }
    // It is silent although it waits for nothing and has had the processor since it was first missed, or
    // waits for something else than the processor. While the kernel cannot be asked that is only known after
    // some looks. To be asked only of one that is silent.
    bool had_its_chance();
    void set_stopped(bool stopped) noexcept { stopped_ = stopped; }
    StandstillLines& standstill_lines() noexcept { return standstill_lines_; }
    // Ends it, leaving a core if it can: ABRT, a little later KILL. Returns what the kernel says of it.
    std::string end_hanging();
    // KILL, and why.
    void kill(std::string reason, DeathCause cause = DeathCause::killed);
    // One that has no connection and is not needed.
    void discard(std::string reason);
    // It had no connection when it was told to leave: however it ends, nobody loses anything.
    bool left_idle() const noexcept { return idle_; }
    // What the kernel says; 0 when it cannot be asked.
    std::uint64_t resident_bytes() const;
    // Makes the two a channel on which this one gives its connections to `successor` when it drains, at the
    // longest for `limit`. The reserve, of hand_over_descriptors, serves a master at its limit.
    static constexpr std::size_t hand_over_descriptors = 4;  // both ends, and their duplicates that wait
    // False when the two cannot be told, for want of descriptors. Told twice of the same successor it does
    // nothing.
    bool hand_over_to(WorkerProcess& successor, std::chrono::milliseconds limit, DescriptorReserve& reserve);
    // Files that have been opened again. False when that cannot be sent now, for want of a descriptor.
    bool send_log(const LogTarget& log);
    bool send_file(const OpenedFile& file) {
        return send_file(MessageType::module_file, file) || unreachable();
    }
    // How often log files had been opened again when this worker began to write to the latest: it is told of
    // a `turn` when all files of it have been sent.
    void send_log_turn(std::uint64_t turn);
    std::uint64_t log_turn() const noexcept { return log_turn_; }
    // It may write to files, and nobody can tell it of others any more.
    bool unreachable() const noexcept { return channel_ == nullptr || channel_->closing(); }
    // It has been reaped: hears what it said last.
    void on_exit();

    void describe(WorkerStatus& status) const noexcept;

  private:
    void send_all(const WorkerRecipe& recipe);
    bool send_configuration(const WorkerRecipe& recipe);
    bool send_file(MessageType type, const OpenedFile& file);
    bool send_to_append(MessageType type, std::string_view name, const UniqueFd& own, const UniqueFd& shared);
    bool answer(const Message& message);
    void on_log_files_taken(std::uint64_t turn);
    bool rows_unread() const;
    void send_rows();
    void drop_channel();
    void on_not_prepared(std::string_view text);
    void on_start_time();
    void on_kill_time();
    void on_end_time();
    void on_silence();
    void send_kill();
    void on_message(Message& message);
    void on_channel_closed(std::string_view reason);
    void on_report(const Report& report);
    void on_report_end(const char* reason);

    CounterTable& counters_;
    const RunClock& clock_;
    EventLoop& loop_;
    WorkerObserver& observer_;
    ObservationDesk& desk_;
    bool observes_;
    WorkerIdentity identity_;
    std::uint64_t generation_;
    std::uint64_t log_turn_;
    std::uint64_t sent_log_turn_;
    std::uint32_t row_;
    Process process_;
    std::unique_ptr<Channel> channel_;
    std::unique_ptr<ReportReader> reports_;
    WorkerState state_ = WorkerState::starting;
    bool stopped_accepting_ = false;
    bool handed_over_ = false;  // it has said so
    bool hangs_ = false;
    bool stopped_ = false;  // by a signal
    StandstillLines standstill_lines_;
    bool outdated_ = false;
    bool has_old_socket_ = false;
    bool idle_ = false;
    bool was_full_ = false;              // when its observer last heard
    bool pool_full_ = false;             // it has been told so
    std::uint64_t next_generation_ = 0;  // being prepared; 0: none
    bool prepared_ = false;
    bool committing_ = false;
    RunTimer start_timer_;    // until it is ready
    RunTimer kill_timer_;     // it was told to leave, or to leave a core
    RunTimer end_timer_;      // from its KILL on
    RunTimer silence_timer_;  // its channel has ended: it exits now, or is of no use any more
    Timer rows_timer_;        // rows are wanted, and others unread
    std::optional<std::uint64_t> rows_wanted_;
    bool rows_sent_ = false;  // and perhaps unread
    std::int64_t started_ms_;
    std::int64_t ready_ms_ = 0;
    std::int64_t heard_ms_ = 0;  // by clock_
    bool reported_ = false;
    unsigned end_looks_ = 0;  // since its KILL
    unsigned blind_looks_ = 0;
    std::optional<std::uint64_t> suspect_cpu_us_;  // when it was first missed; none: it is heard of
    Report last_report_;
    std::string last_words_;      // what the worker said before it failed
    std::string killed_because_;  // by the master
    DeathCause killed_for_ = DeathCause::killed;
    std::chrono::milliseconds handover_limit_{0};
    std::vector<std::uint64_t> successors_;  // instances that it was told of
    std::int64_t leaves_by_ms_ = 0;
};

}  // namespace drover
