#include "modules/observer/status_pages.h"

#include "modules/observer/metrics_text.h"
#include "modules/observer/service_metrics.h"
#include "worker/module/configuration.h"
#include "worker/module/master_view.h"

#include <fmt/format.h>

namespace drover::observer {

namespace {

constexpr const char* no_answer = "the master does not answer";

void send_line(http::Response& response, unsigned status, const std::string& line) {
    send(response, status, "text/plain; charset=utf-8", line + "\n");
}

}  // namespace

void MetricsPage::answer(const http::Request& request, http::Response response) {
    const MetricsFormat format = accepted_format(http::joined_fields(request.fields(), "accept"));
    response.header("Vary", "Accept");
    when_asked(std::move(response), [this, format](http::Response& later, bool answered) {
        const CounterReader& reader = services().master->counters();
        Metrics metrics = read_metrics(reader);
        add_service_metrics(metrics, reader.status_snapshot(),
                            {.answers = answered, .now_ms = services().loop.now_ms()});
        send(later, 200, media_type(format), metrics_text(metrics, format));
    });
}

// A master that does not answer is shown as it last was.
void StatusPage::answer(const http::Request&, http::Response response) {
    when_asked(std::move(response), [this](http::Response& later, bool) {
        send(later, 200, "application/json", services().master->status_json());
    });
}

void HealthPage::answer(const http::Request&, http::Response response) {
    when_asked(std::move(response), [](http::Response& later, bool answered) {
        send_line(later, answered ? 200 : 503, answered ? "ok" : no_answer);
    });
}

void ReadyPage::answer(const http::Request&, http::Response response) {
    when_asked(std::move(response), [this](http::Response& later, bool answered) {
        const std::string why_not =
            answered ? why_not_ready(services().master->counters().status_snapshot(),
                                     services().configuration->settings(), services().loop.now_ms())
                     : no_answer;
        send_line(later, why_not.empty() ? 200 : 503, why_not.empty() ? "ready" : why_not);
    });
}

std::string why_not_ready(const StatusSnapshot& status, const Settings& settings, std::int64_t now_ms) {
    const MasterState state = status.master.state;
    if (state == MasterState::starting || state == MasterState::stopping)
        return fmt::format("the master is {}", to_text(state));
    for (const PoolSettings& pool : settings.pools) {
        std::size_t serving = 0;
        std::size_t silent = 0;
        for (const WorkerStatus& worker : status.workers) {
            if (worker.pool != pool.name || worker.state != WorkerState::serving) continue;
            ++(silent_ms(worker, now_ms) ? silent : serving);
        }
        if (serving >= pool.min_healthy) continue;
        return fmt::format("pool {}: {} of {} workers serve, {} needed{}", pool.name, serving, pool.workers,
                           pool.min_healthy, silent > 0 ? fmt::format("; {} not heard of", silent) : "");
    }
    // The master knows of those, too, that serve what they should not serve any more.
    return state == MasterState::degraded ? "a pool has too few workers that answer" : "";
}

}  // namespace drover::observer
