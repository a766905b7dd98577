#include "modules/observer/observer_module.h"

#include "modules/http/http_connection.h"
#include "modules/observer/status_pages.h"

#include <stdexcept>

namespace drover {

namespace {

// The pages know which paths are theirs; all of them are asked for by their names.
template <class PageType, class... Args>
void add_page(http::HandlerTable& pages, http::HttpOptions& http, std::string_view path, Args&&... args) {
    pages.add<PageType>(std::string(path), path, std::forward<Args>(args)...);
    http.routes.push_back({.path = path, .handler = path});
}

}  // namespace

const OptionTable& ObserverModule::options() const {
    static const OptionTable none("Shows what master and workers do; the module of [observer].");
    return none;
}

void ObserverModule::start(Services& services, const ImageNode&) {
    if (services.master == nullptr)
        throw std::runtime_error("its pool must say observes = true; [observer] makes one that does");
    http::HttpOptions http = http::HttpOptions::options().load({});
    http.counted = false;
    add_page<observer::MetricsPage>(pages_, http, "/metrics");
    add_page<observer::StatusPage>(pages_, http, "/status.json");
    add_page<observer::HealthPage>(pages_, http, "/health");
    add_page<observer::ReadyPage>(pages_, http, "/ready");
    server_ = std::make_shared<http::HttpServer>(services, services.configuration, std::move(http), pages_);
    pages_.start(services);
}

void ObserverModule::connection(Accepted accepted) {
    open_connection<http::HttpConnection>(server_->services, std::move(accepted), server_);
}

void ObserverModule::stop() noexcept {
    pages_.stop();
    server_.reset();
}

}  // namespace drover
