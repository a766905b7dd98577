// What programs ask the observer: figures, status, health. None of them waits for a worker: the figures are
// read from the counter table, and the master is asked to bring the status page up to date. Runs in: worker.
#pragma once

#include "conf/settings.h"
#include "core/protocol/status_page.h"
#include "modules/observer/page.h"

#include <cstdint>
#include <string>

namespace drover::observer {

// /metrics
class MetricsPage final : public Page {
  public:
    using Page::Page;

  private:
    void answer(const http::Request& request, http::Response response) override;
};

// /status.json: what `drover status --json` prints.
class StatusPage final : public Page {
  public:
    using Page::Page;

  private:
    void answer(const http::Request& request, http::Response response) override;
};

// /health: 200 while the master answers, else 503.
class HealthPage final : public Page {
  public:
    using Page::Page;

  private:
    void answer(const http::Request& request, http::Response response) override;
};

// /ready: 200 while every pool has as many workers that serve as it needs, else 503 and why not.
class ReadyPage final : public Page {
  public:
    using Page::Page;

  private:
    void answer(const http::Request& request, http::Response response) override;
};

// Why the service is not ready, in a line; empty: it is. Workers that are not heard of (silent_ms) do not
// serve, whatever is under way. `now_ms` is CLOCK_MONOTONIC.
std::string why_not_ready(const StatusSnapshot& status, const Settings& settings, std::int64_t now_ms);

}  // namespace drover::observer
