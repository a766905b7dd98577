#include "modules/observer/status_pages.h"

#include "modules/observer/metrics_text.h"
#include "worker/status_json.h"

#include <algorithm>

#include <fmt/format.h>

namespace drover::observer {

namespace {

constexpr const char* no_answer = "the master does not answer";

void send_line(http::Response& response, unsigned status, const std::string& line) {
    send(response, status, "text/plain; charset=utf-8", line + "\n");
}

}  // namespace

void MetricsPage::answer(const http::Request& request, http::Response response) {
    const MetricsFormat format = accepted_format(request.header("accept"));
    response.header("Vary", "Accept");
    const std::string text = metrics_text(read_metrics(services().counters.reader()), format);
    send(response, 200, media_type(format), text);
}

// A master that does not answer is shown as it last was.
void StatusPage::answer(const http::Request&, http::Response response) {
    when_asked(std::move(response), [this](http::Response& later, bool) {
        send(later, 200, "application/json",
             status_json(services().counters.reader(), services().loop.now_ms()));
    });
}

void HealthPage::answer(const http::Request&, http::Response response) {
    when_asked(std::move(response), [](http::Response& later, bool answered) {
        send_line(later, answered ? 200 : 503, answered ? "ok" : no_answer);
    });
}

void ReadyPage::answer(const http::Request&, http::Response response) {
    when_asked(std::move(response), [this](http::Response& later, bool answered) {
        const std::string why_not = answered ? why_not_ready(services().counters.reader().status_snapshot(),
                                                             services().configuration->settings())
                                             : no_answer;
        send_line(later, why_not.empty() ? 200 : 503, why_not.empty() ? "ready" : why_not);
    });
}

std::string why_not_ready(const StatusSnapshot& status, const Settings& settings) {
    const MasterState state = status.master.state;
    if (state == MasterState::starting || state == MasterState::stopping)
        return fmt::format("the master is {}", to_text(state));
    for (const PoolSettings& pool : settings.pools) {
        const auto serving = std::ranges::count_if(status.workers, [&](const WorkerStatus& worker) {
            return worker.pool == pool.name && worker.state == WorkerState::serving;
        });
        if (static_cast<unsigned>(serving) < pool.min_healthy)
            return fmt::format("pool {}: {} of {} workers serve, {} needed", pool.name, serving, pool.workers,
                               pool.min_healthy);
    }
    // The master also knows of those that say that they serve and stand still.
    return state == MasterState::degraded ? "a pool has too few workers that answer" : "";
}

}  // namespace drover::observer
