#include "modules/http/http.h"

#include "modules/http/http_connection.h"
#include "modules/http/status_handler.h"

namespace drover::http {

const OptionTable& HttpModule::options() const {
    return HttpOptions::options();
}

std::vector<CounterDeclaration> HttpModule::counters() const {
    return HttpCounters::declarations({"the route's name, else its host and path"});
}

std::vector<CounterDeclaration> HttpModule::counters_of(const ImageNode& options) const {
    const HttpOptions http = HttpOptions::options().load(options);
    std::vector<std::string> labels;
    for (const RouteOptions& route : http.routes)
        labels.push_back(RouteMetrics::label_of(route));
    return HttpCounters::declarations(std::move(labels));
}

HandlerTable HttpModule::make_handlers() const {
    HandlerTable handlers;
    handlers.add<StatusHandler>("status");
    add_handlers(handlers);
    return handlers;
}

void HttpModule::check(const ImageNode& options, Complaints& complaints) const {
    check_http_options(options, make_handlers(), complaints);
}

void HttpModule::start(Services& services, const ImageNode& options) {
    handlers_ = make_handlers();
    server_ = std::make_shared<HttpServer>(services, services.configuration,
                                           HttpOptions::options().load(options), handlers_);
    handlers_.start(services);
}

void HttpModule::stop() noexcept {
    handlers_.stop();
    if (server_ != nullptr && server_->access_log != nullptr) server_->access_log->finish();
    server_.reset();
}

void HttpModule::connection(Accepted accepted) {
    open_connection<HttpConnection>(server_->services, std::move(accepted), server_);
}

void HttpModule::prepare(const std::shared_ptr<const Configuration>& next, const ImageNode& options) {
    next_ = std::make_shared<HttpServer>(server_->services, next, HttpOptions::options().load(options),
                                         handlers_, server_.get());
}

void HttpModule::commit() noexcept {
    server_ = std::move(next_);
}

void HttpModule::abandon() noexcept {
    next_.reset();
}

void HttpModule::adopt(Accepted accepted, std::string_view state) {
    // One whose output has left says nothing.
    HttpConnection::Carried carried{.phase = HttpConnection::Phase::idle};
    if (!accepted.closing || !state.empty()) carried = HttpConnection::carried(state);
    open_connection<HttpConnection>(server_->services, std::move(accepted), server_)
        .carry_on(std::move(carried));
}

}  // namespace drover::http
