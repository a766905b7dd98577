// What /metrics says of the master and of its workers' lives: from the status page, which the master writes,
// so that it shows a worker that is stuck, when the worker's own figures stay as they are. Runs in: worker.
#pragma once

#include "core/protocol/status_page.h"
#include "modules/observer/metrics_text.h"

#include <cstdint>

namespace drover::observer {

struct MasterSign {
    bool answers = false;     // else the page is as it was, and says nothing of workers now
    std::int64_t now_ms = 0;  // CLOCK_MONOTONIC
};

// Adds the figures of conf/observer.h. A master that does not answer knows nothing of workers: figures of
// them are left out.
void add_service_metrics(Metrics& metrics, const StatusSnapshot& status, MasterSign sign);

}  // namespace drover::observer
