// Services are what a worker gives its modules: the loop, the log, counters, time limits, and what the
// configuration says of the pool. Owned by the worker; alive from before Module::start until after
// Module::stop. Runs in: worker.
#pragma once

#include "core/counter.h"
#include "core/counter_row.h"
#include "core/deadline_wheel.h"
#include "core/event_loop.h"
#include "core/log.h"
#include "worker/configuration.h"

#include <memory>

namespace drover {

class ConnectionList;

struct Services {
    EventLoop& loop;
    Log& log;
    DeadlineWheel& deadlines;
    ConnectionList& connections;
    const CounterRow& counters;  // counters.counter("mine_total"): a name that the module declared
    // Of the generation that this worker serves; a hot reload puts another one in its place (Module::commit).
    std::shared_ptr<const Configuration> configuration;
    unsigned slot = 0;
};

}  // namespace drover
