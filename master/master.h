// Master wires signals, timers, the control socket and the children to the lifecycle table, and carries its
// actions out. It is small on purpose: it never parses configuration, never runs module code, never reads a
// client's byte, never waits for a worker, and has one thread. Runs in: the master.
#pragma once

#include "core/base/exit_code.h"
#include "core/base/program.h"
#include "core/log/log.h"
#include "core/loop/event_loop.h"
#include "core/loop/run_clock.h"
#include "core/protocol/status_page.h"
#include "master/control/control.h"
#include "master/control/observation_desk.h"
#include "master/control/status_text.h"
#include "master/event_log.h"
#include "master/lifecycle.h"
#include "master/reload/config_reader.h"
#include "master/reload/generation.h"
#include "master/reload/probation.h"
#include "master/reload/reload.h"
#include "master/reload/reload_desk.h"
#include "master/service.h"
#include "master/service_notifier.h"
#include "master/supervise/leftovers.h"
#include "master/supervise/pool.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace drover {

class Master : private PoolObserver {
  public:
    Master(std::string config_path, std::span<const ModuleFactory> modules, Program program);
    ~Master() override;

    // Serves until stopped. The reason of a failed start goes to stderr, one line each.
    ExitCode run();

  private:
    // An old worker that has not stopped accepting by then, or a running one that has not committed, is
    // waited for no longer.
    static constexpr std::chrono::milliseconds quiet_time{5000};
    // Between two lines of the log about workers that drain.
    static constexpr std::chrono::milliseconds progress_interval{5000};
    // How long new workers wait for those of generations before the running one to leave: a third set of
    // workers costs memory.
    static constexpr std::chrono::milliseconds old_leave_time{1000};

    void on_signal(int signal);
    void on_request(ControlCaller caller, const ControlRequest& request);
    void on_verdict(ConfigReader::Verdict& verdict);
    void on_stop_deadline();
    void on_reload_deadline();
    void on_watchdog();
    void on_probation_time();
    void on_rollback_due();
    void on_progress_time();

    void on_worker_ready(Pool& pool, WorkerProcess& worker) override;
    void on_start_failed(Pool& pool, const std::string& reason) override;
    void on_worker_quiet(Pool& pool) override;
    void on_prepared(Pool& pool) override;
    void on_not_prepared(Pool& pool, const std::string& reason) override;
    void on_committed(Pool& pool) override;
    void on_worker_lost(Pool& pool, const WorkerProcess& worker, const std::string& text) override;
    void on_not_filled(Pool& pool, unsigned slot, const std::string& reason) override;
    void on_given_up() override;
    void on_replacement_failed(Pool& pool, unsigned slot, const std::string& reason) override;
    void on_status_changed() override;

    // Feeds the lifecycle table and carries out what it says (master_actions.cpp).
    void handle(LifeEvent event);
    void carry_out(LifeAction action);
    void read_config();
    void refuse_config(const std::vector<std::string>& findings, bool of_the_file);
    static GenerationSource take_source(ConfigReader::Verdict& verdict);
    void start_first(ConfigReader::Verdict verdict);
    void start_next(std::uint64_t number, GenerationSource source);
    void serve_first();
    void fail(const std::string& reason);
    void fail_start(ExitCode code, const std::vector<std::string>& reasons);
    struct SettingsSaid {
        std::string log;
        std::string auto_workers;
    };
    SettingsSaid settings_said() const;
    void follow_settings(const SettingsSaid& before);
    void say_auto_workers(const Settings& settings);
    void open_service(const Settings& settings);
    void announce();
    // Feeds the table of reloads and carries out what it says (master_reload.cpp).
    void step(ReloadEvent event);
    void carry_out(ReloadAction action);
    void ask_reload(const ReloadDesk::Wish& wish);
    void begin_reload();
    void renew_files();
    void follow_verdict(ConfigReader::Verdict verdict);
    void wait_for_old();
    bool too_many_generations();
    void prepare();
    bool prepares() const noexcept;
    void commit();
    void switch_over();
    void end_switch();
    void release_old_sockets();
    void settle();
    void settle_unchanged();
    std::string made_again_text();
    void refuse();
    void retry_fresh();
    void drop_next();
    // A new generation on probation, and the way back (master_probation.cpp).
    struct Trial {
        Trial(Probation rule, Fallback way_back, std::int64_t end_ms, const RunClock& clock,
              Timer::Handler on_time)
            : probation(std::move(rule)),
              fallback(std::move(way_back)),
              ends_ms(end_ms),
              timer(clock, on_time) {}

        Probation probation;
        Fallback fallback;
        std::int64_t ends_ms;  // by clock_; at the latest, however silent a worker is
        RunTimer timer;
    };
    bool unfit() const noexcept { return trial_ != nullptr && trial_->probation.failed(); }
    void begin_probation(Fallback fallback);
    void end_probation(bool passed, const std::string& text);
    void go_back();
    void drain(int signal);
    void force();
    void kill_all();
    void finish();
    void open_gates();
    void count_for(const Generation& generation);
    void warn_of_absent_listeners();
    void retire_all(int signal);
    void abandon_next();
    void close_reload(ReloadResult result, const std::string& text);
    void say_verdict(const Reload& reload, ReloadResult result, const std::string& text);

    void reap();
    void reap_soon();
    void check_quiet();
    void check_gone();
    bool leftovers_gone();
    std::vector<Generation*> generations() const;
    std::string reopen_log();
    std::vector<std::string> log_laggards() const;
    // What operators ask for (master_requests.cpp).
    void on_counters_request(ControlCaller caller, const ControlRequest& request);
    void on_reload_request(ControlCaller caller, const ControlRequest& request);
    void on_stop_request(ControlCaller caller, const ControlRequest& request);
    void on_size_request(ControlCaller caller, const ControlRequest& request);
    void on_restart_request(ControlCaller caller, const ControlRequest& request);
    void resize_by_signal(int workers);
    std::string resize(Pool& pool, unsigned size);
    std::string cannot_change_pools() const;
    std::string status_reply(const ControlRequest& request);
    ServingView serving_view() const;
    std::string config_reply(const ControlRequest& request) const;
    EventSubject subject() const noexcept;
    void publish_status();
    std::string describe_status();
    MasterState public_state() const noexcept;

    const std::string config_path_;
    const std::span<const ModuleFactory> modules_;
    const Program program_;
    EventLoop loop_;
    const RunClock clock_{loop_};  // for deadlines of others
    Log log_;
    EventLog events_;
    ServiceNotifier notifier_;
    ObservationDesk observation_;
    std::unique_ptr<Service> service_;  // null while the first configuration is read
    std::unique_ptr<ConfigReader> reader_;
    std::unique_ptr<Generation> current_;
    std::unique_ptr<Generation> next_;              // while one is being prepared
    std::vector<std::unique_ptr<Generation>> old_;  // until their last worker is gone
    std::vector<std::unique_ptr<SignalWatch>> signals_;
    BlockedSignals terminal_signals_;
    RunTimer stop_timer_;
    Timer status_timer_;
    Timer watchdog_timer_;
    Timer reap_timer_;      // there is more to be reaped, or swept
    Timer rollback_timer_;  // out of the pool's own work
    Timer progress_timer_;
    Leftovers leftovers_;

    LifeState state_ = LifeState::reading;
    MasterStatus status_;
    std::int64_t published_ms_ = 0;  // status_
    std::uint64_t last_generation_ = 0;
    std::unique_ptr<Trial> trial_;    // null: no generation is on probation
    std::unique_ptr<Reload> reload_;  // null: none is under way
    ReloadDesk desk_;
    ExitCode exit_code_ = ExitCode::ok;
};

}  // namespace drover
