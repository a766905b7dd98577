// Service is everything that the master has once, from the first configuration on until it ends: what
// operators reach it by, what workers share, what generations take their sockets from. Built in one go: a
// constructor that throws leaves nothing behind. Owned by the Master, after whose generations it is
// destroyed. Runs in: the master.
#pragma once

#include "conf/settings.h"
#include "core/base/unique_fd.h"
#include "core/counters/counter_table.h"
#include "core/log/log.h"
#include "core/loop/run_clock.h"
#include "master/control/control.h"
#include "master/control/event_desk.h"
#include "master/control/observation_desk.h"
#include "master/control/reopen_desk.h"
#include "master/event_log.h"
#include "master/master_counters.h"
#include "master/pid_file.h"
#include "master/reload/listener_registry.h"
#include "master/runtime_directory.h"
#include "master/supervise/order_desk.h"
#include "master/supervise/pool.h"

#include <span>

namespace drover {

// A pipe that nobody writes to: the kernel closes the writer when the master is gone.
struct Lifeline {
    Lifeline();  // throws std::system_error

    UniqueFd reader;  // what workers watch
    UniqueFd writer;
};

class Service {
  public:
    // What the master has before.
    struct Ground {
        const RunClock& clock;
        Log& log;
        EventLog& events;
        ObservationDesk& observation;
        std::span<const ModuleFactory> modules;
    };

    // Opens the log last: until then lines go to stderr. Throws what the members' constructors do.
    Service(const Ground& ground, const Settings& settings, ControlServer::RequestHandler on_request,
            ReopenDesk::Laggards log_laggards);

    // Log files for the master and its workers, at first or again.
    struct OpenedLog {
        LogTarget for_workers;
        LogTarget own;
    };
    // Throws std::system_error.
    static OpenedLog open_log(const Settings& settings);
    void use_log(const Settings& settings, OpenedLog opened) noexcept;

    RuntimeDirectory runtime_directory;
    PidFile pid_file;
    ControlServer control;
    Lifeline lifeline;
    CounterTable counters;
    CounterReader counter_reader;
    MasterCounters own_counters;
    PoolContext pools;
    ListenerRegistry listeners;
    OrderDesk orders;
    EventDesk event_desk;
    ReopenDesk reopens;

  private:
    Log& log_;
};

}  // namespace drover
