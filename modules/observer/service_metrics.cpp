#include "modules/observer/service_metrics.h"

#include "conf/observer.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover::observer {

namespace {

std::vector<std::string> pools_of(const StatusSnapshot& status) {
    std::vector<std::string> pools;
    for (const WorkerStatus& worker : status.workers) {
        if (std::ranges::find(pools, std::string_view(worker.pool)) == pools.end())
            pools.emplace_back(worker.pool);
    }
    return pools;
}

std::uint64_t value_of(const CounterDeclaration& figure, const StatusSnapshot& status, bool answers) {
    if (figure.name == ServiceFigures::master_state) {
        const std::string_view state = answers ? to_text(status.master.state) : ServiceFigures::unresponsive;
        return figure.labels.front().value == state ? 1 : 0;
    }
    const auto counted = std::ranges::count_if(status.workers, [&](const WorkerStatus& worker) {
        return figure.labels.front().value == worker.pool &&
               figure.labels.back().value == to_text(worker.state);
    });
    return static_cast<std::uint64_t>(counted);
}

Metrics::Gauge heartbeat_ages(const StatusSnapshot& status, std::int64_t now_ms) {
    Metrics::Gauge ages{.name = ServiceFigures::heartbeat_age, .workers = {}};
    for (const WorkerStatus& worker : status.workers) {
        if (worker.pid == 0 || worker.heartbeat_ms == 0) continue;
        ages.workers.push_back({.pool = worker.pool,
                                .slot = worker.slot,
                                .pid = worker.pid,
                                .instance = worker.instance,
                                .generation = worker.generation,
                                .value = std::max<std::int64_t>(now_ms - worker.heartbeat_ms, 0)});
    }
    return ages;
}

}  // namespace

void add_service_metrics(Metrics& metrics, const StatusSnapshot& status, MasterSign sign) {
    const bool answers = sign.answers;
    for (CounterDeclaration& figure :
         service_figures(answers ? pools_of(status) : std::vector<std::string>())) {
        const bool of_each = figure.scope == CounterScope::worker;
        if (of_each && !answers) continue;
        CounterReader::Sum sum;
        sum.value = of_each ? 0 : value_of(figure, status, answers);
        static_cast<CounterDeclaration&>(sum) = std::move(figure);
        metrics.sums.push_back(std::move(sum));
    }
    if (answers) metrics.worker_gauges.push_back(heartbeat_ages(status, sign.now_ms));
}

}  // namespace drover::observer
