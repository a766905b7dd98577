#include "modules/observer/observer_module.h"

#include "modules/http/http_connection.h"
#include "modules/observer/dashboard.h"
#include "modules/observer/live_feed.h"
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

const Options<ObserverOptions>& ObserverOptions::options() {
    static const auto table =
        Options<ObserverOptions>("Shows what master and workers do; the module of [observer].")
            .integer("max_live", &ObserverOptions::max_live, {.fallback = 32, .min = 0, .max = 200},
                     Apply::fresh, "Dashboards that may be open at a time; each is sent a message a second.");
    return table;
}

ObserverModule::ObserverModule() = default;
ObserverModule::~ObserverModule() = default;

void ObserverModule::start(Services& services, const ImageNode& options) {
    if (services.master == nullptr)
        throw std::runtime_error("its pool must say observes = true; [observer] makes one that does");
    http::HttpOptions http = http::HttpOptions::options().load({});
    http.counted = false;
    add_page<observer::MetricsPage>(pages_, http, "/metrics");
    add_page<observer::StatusPage>(pages_, http, "/status.json");
    add_page<observer::HealthPage>(pages_, http, "/health");
    add_page<observer::ReadyPage>(pages_, http, "/ready");
    constexpr const char* files[][2] = {
        {"/", "dashboard.html"},           {"/dashboard.css", "dashboard.css"},
        {"/dashboard.js", "dashboard.js"}, {"/chart.js", "chart.js"},
        {"/text.js", "text.js"},           {"/icon.svg", "icon.svg"}};
    for (const auto& [path, name] : files)
        add_page<observer::DashboardPage>(pages_, http, path, name);
    live_ = std::make_unique<observer::LiveFeed>(services, ObserverOptions::options().load(options).max_live);
    add_page<observer::LivePage>(pages_, http, "/live", *live_);
    server_ = std::make_shared<http::HttpServer>(services, services.configuration, std::move(http), pages_);
    pages_.start(services);
}

void ObserverModule::connection(Accepted accepted) {
    open_connection<http::HttpConnection>(server_->services, std::move(accepted), server_);
}

// They would wait for their ends, which never come.
void ObserverModule::drain() {
    live_->end();
}

void ObserverModule::stop() noexcept {
    pages_.stop();
    live_.reset();
    server_.reset();
}

}  // namespace drover
