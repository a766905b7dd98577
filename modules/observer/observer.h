// The observer module shows what master and workers do, from a process of its own: figures, status and health
// for programs, a dashboard for people. Its pool observes; `[observer]` in a configuration makes one. Its
// answers are not counted among the requests of the service. Start reading at status_pages.h and live_feed.h.
// Runs in: worker; declared in the config reader.
#pragma once

#include "conf/options/options.h"
#include "modules/http/request_handler.h"
#include "worker/module/module.h"

#include <memory>
#include <string_view>
#include <vector>

namespace drover {

namespace http {
struct HttpServer;
}

namespace observer {
class HostRule;
class LiveFeed;
}  // namespace observer

struct ObserverOptions {
    std::size_t max_live = 0;
    std::vector<std::string_view> hosts;  // in lower or upper case, without a port

    static const Options<ObserverOptions>& options();
};

class ObserverModule final : public Module {
  public:
    std::string_view name() const noexcept override { return "observer"; }
    ObserverModule();
    ~ObserverModule() override;

    const OptionTable& options() const override { return ObserverOptions::options(); }
    // A host with a port or a scheme would never be asked for.
    void check(const ImageNode& options, Complaints& complaints) const override;
    // Throws std::runtime_error in a pool that does not observe.
    void start(Services& services, const ImageNode& options) override;
    void connection(Accepted accepted) override;
    void drain() override;
    void stop() noexcept override;

  private:
    std::unique_ptr<observer::HostRule> hosts_;
    std::unique_ptr<observer::LiveFeed> live_;
    http::HandlerTable pages_;
    std::shared_ptr<http::HttpServer> server_;
};

}  // namespace drover
