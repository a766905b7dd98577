// [observer] is short for a pool: one worker with the module "observer" that observes the service, on an
// address of its own. A document that has the table gets the pool, and all that follows knows of pools alone.
// Runs in: the config reader and the command line; worker (the figures' names).
#pragma once

#include "conf/options/options.h"
#include "conf/reader/document.h"
#include "core/counters/counter_declaration.h"
#include "core/protocol/status_page.h"

#include <string>
#include <string_view>
#include <vector>

namespace drover {

struct ObserverSettings {
    // What the pool and its module are called.
    static constexpr const char* name = "observer";

    std::string_view listen;  // required

    static const Options<ObserverSettings>& options();
};

// Adds the pool, after all others. Changes nothing in a document that has no [observer] or a wrong one, that
// has no pool to observe, or a pool of this name already.
void add_observer_pool(Document& document);

// The pool that was made of [observer]; false: somebody wrote it.
bool is_observer_pool(const Document& document, const DocumentValue& pool) noexcept;

// What the module observer shows beside the counter table's: made of the status page, which the master
// writes, so that it is right when workers are not. `pools` are labels' values; one stands for all in
// documents.
struct ServiceFigures {
    // One of these is 1; the last one when the master does not answer, whatever it was before.
    static constexpr MasterState master_states[] = {MasterState::starting, MasterState::running,
                                                    MasterState::reloading, MasterState::degraded,
                                                    MasterState::stopping};
    static constexpr const char* unresponsive = "unresponsive";
    static constexpr WorkerState worker_states[] = {WorkerState::starting, WorkerState::serving,
                                                    WorkerState::draining, WorkerState::backing_off};

    static constexpr const char* master_state = "drover_master_state";
    static constexpr const char* workers = "drover_workers";
    static constexpr const char* heartbeat_age = "drover_worker_heartbeat_age_seconds";
};
std::vector<CounterDeclaration> service_figures(const std::vector<std::string>& pools);

}  // namespace drover
