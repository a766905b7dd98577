// The observer module shows what master and workers do, from a process of its own: figures, status and health
// for programs, a dashboard for people. Its pool observes; `[observer]` in a configuration makes one. What it
// answers is not counted among the requests of the service. Start reading at status_pages.h and live_feed.h.
// Runs in: worker; declared in the config reader.
#pragma once

#include "modules/http/request_handler.h"
#include "worker/module.h"

#include <memory>

namespace drover {

namespace http {
struct HttpServer;
}

namespace observer {
class LiveFeed;
}

struct ObserverOptions {
    std::size_t max_live = 0;

    static const Options<ObserverOptions>& options();
};

class ObserverModule final : public Module {
  public:
    std::string_view name() const noexcept override { return "observer"; }
    ObserverModule();
    ~ObserverModule() override;

    const OptionTable& options() const override { return ObserverOptions::options(); }
    // Throws std::runtime_error in a pool that does not observe.
    void start(Services& services, const ImageNode& options) override;
    void connection(Accepted accepted) override;
    void drain() override;
    void stop() noexcept override;

  private:
    std::unique_ptr<observer::LiveFeed> live_;
    http::HandlerTable pages_;
    std::shared_ptr<http::HttpServer> server_;
};

}  // namespace drover
