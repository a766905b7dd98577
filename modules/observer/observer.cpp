#include "modules/observer/observer.h"

#include "modules/http/http_connection.h"
#include "modules/http/http_syntax.h"
#include "modules/observer/dashboard.h"
#include "modules/observer/host_rule.h"
#include "modules/observer/live_feed.h"
#include "modules/observer/status_pages.h"
#include "worker/module/master_view.h"

#include <stdexcept>

#include <fmt/format.h>

namespace drover {

namespace {

// The pages know which paths are theirs; all of them are asked for by their names.
struct Site {
    http::HandlerTable& pages;
    http::HttpOptions& http;
    const observer::HostRule& hosts;

    template <class PageType, class... Args>
    void add(std::string_view path, Args&&... args) {
        pages.add<PageType>(std::string(path), path, hosts, std::forward<Args>(args)...);
        http.routes.push_back({.path = path, .handler = path});
    }
};

}  // namespace

const Options<ObserverOptions>& ObserverOptions::options() {
    static const auto table =
        Options<ObserverOptions>("Shows what master and workers do; the module of [observer].")
            .integer("max_live", &ObserverOptions::max_live, {.fallback = 32, .min = 0, .max = 200},
                     Apply::fresh, "Dashboards that may be open at a time; each is sent a message a second.")
            .texts(
                "hosts", &ObserverOptions::hosts, {}, Apply::fresh,
                "Names by which the observer may be asked for on a loopback address or a unix socket, beside "
                "localhost: those that a proxy in front of it passes on. Others are refused, as a web page "
                "could have made its own name mean this machine.");
    return table;
}

ObserverModule::ObserverModule() = default;
ObserverModule::~ObserverModule() = default;

void ObserverModule::check(const ImageNode& options, Complaints& complaints) const {
    for (const std::string_view host : ObserverOptions::options().load(options).hosts) {
        if (!http::is_host(host) || host.find(':') != std::string_view::npos)
            complaints.add("hosts", fmt::format("\"{}\" is not a name without a port", host));
    }
}

void ObserverModule::start(Services& services, const ImageNode& options) {
    if (services.master == nullptr || !services.master->observes())
        throw std::runtime_error("its pool must say observes = true; [observer] makes one that does");
    http::HttpOptions http = http::HttpOptions::options().load({});
    http.counted = false;
    const ObserverOptions own = ObserverOptions::options().load(options);
    hosts_ = std::make_unique<observer::HostRule>(own.hosts);
    Site site{pages_, http, *hosts_};
    site.add<observer::MetricsPage>("/metrics");
    site.add<observer::StatusPage>("/status.json");
    site.add<observer::HealthPage>("/health");
    site.add<observer::ReadyPage>("/ready");
    constexpr const char* files[][2] = {
        {"/", "dashboard.html"},           {"/dashboard.css", "dashboard.css"},
        {"/dashboard.js", "dashboard.js"}, {"/chart.js", "chart.js"},
        {"/text.js", "text.js"},           {"/icon.svg", "icon.svg"}};
    for (const auto& [path, name] : files)
        site.add<observer::DashboardPage>(path, name);
    live_ = std::make_unique<observer::LiveFeed>(services, own.max_live);
    site.add<observer::LivePage>("/live", *live_);
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
