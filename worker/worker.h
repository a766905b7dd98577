// Worker is what a worker process does: it gets its log, counter row, image and listening sockets over its
// channel, starts the modules, says Ready, accepts when told to serve, drains when told to stop or when the
// master is gone, and leaves. Its states, in this order only: starting, serving, draining. Runs in: worker.
//
// Signals to a worker: TERM drains within the pool's drain_timeout, QUIT drains without a limit, INT leaves
// at once. A first TERM or QUIT that is not the master's does not drain: the worker asks for a successor and
// serves until that takes over. USR1 and HUP need no action of their own: what they announce (a log file, an
// image) arrives on the channel.
#pragma once

#include "core/base/exit_code.h"
#include "core/counters/counter_table.h"
#include "core/log/log.h"
#include "core/loop/deadline_wheel.h"
#include "core/loop/event_loop.h"
#include "core/loop/mailbox.h"
#include "core/protocol/channel.h"
#include "core/protocol/report_pipe.h"
#include "core/protocol/status_page.h"
#include "worker/assignment.h"
#include "worker/departure.h"
#include "worker/intake.h"
#include "worker/load_counters.h"
#include "worker/load_meter.h"
#include "worker/module/blocking_pool.h"
#include "worker/module/configuration.h"
#include "worker/module/master_view.h"
#include "worker/module/module.h"
#include "worker/module/module_host.h"
#include "worker/module/services.h"
#include "worker/stream/connection_list.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace drover {

// Which worker this is: it fills `slot` of `pool`. No two workers in the life of a service have the same
// instance.
struct WorkerIdentity {
    std::uint64_t instance = 0;
    std::string pool;
    unsigned slot = 0;
};

// All that crosses the fork: the child keeps these descriptors and closes everything else.
struct WorkerInheritance {
    WorkerIdentity identity;
    int channel_fd = -1;
    int report_fd = -1;    // write end of the report pipe
    int lifeline_fd = -1;  // end-of-file when the master is gone
    std::span<const ModuleFactory> modules;
};

// The child's main; returns its exit status. Takes the descriptors.
int run_worker(const WorkerInheritance& inheritance);

class Worker {
  public:
    explicit Worker(const WorkerInheritance& inheritance);
    ~Worker();

    ExitCode run();

  private:
    void on_message(Message& message);
    void on_cut(Message& message);
    void on_channel_closed(std::string_view reason);
    void on_lifeline(Readiness readiness);
    void on_signal(int signal);
    void on_connection_closed();
    void on_blocking_idle();
    void on_started();
    void send_report();

    MasterView& master_view() const;
    void take_counters(Message& message);
    void commit();
    const PoolSettings& pool() const noexcept { return assignment_.pool(); }
    void apply_settings();
    void start();
    void start_modules();
    void serve();
    void on_intake_ended();
    void leave_by(LeaveEvent event, bool limited);
    void drain(bool limited);
    void fail(const std::string& reason, ExitCode code);

    WorkerIdentity identity_;
    EventLoop loop_;
    Log log_;
    Channel channel_;
    UniqueFd lifeline_;
    ReportWriter reports_;
    std::span<const ModuleFactory> factories_;
    DeadlineWheel deadlines_;
    ConnectionList connections_;
    std::optional<CounterRow> counters_;
    UniqueFd counter_table_;  // until the modules start
    Assignment assignment_;
    Mailbox mailbox_;
    std::unique_ptr<BlockingPool> blocking_;
    std::unique_ptr<MasterView> master_view_;
    std::unique_ptr<Services> services_;
    std::unique_ptr<ModuleHost> modules_;
    Intake intake_;
    Departure departure_;
    std::unique_ptr<LoadMeter> load_;
    std::unique_ptr<LoadCounters> load_counters_;
    FdWatch lifeline_watch_;
    Timer report_timer_;
    Timer started_timer_;
    std::vector<std::unique_ptr<SignalWatch>> signals_;
    WorkerState state_ = WorkerState::starting;
};

}  // namespace drover
