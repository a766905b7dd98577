#include "modules/http/http_server.h"

#include "modules/http/file_handler.h"
#include "modules/http/http_connection.h"
#include "modules/http/redirect_handler.h"

#include <algorithm>
#include <utility>

namespace drover::http {

HttpCounters::HttpCounters(const CounterRow& row)
    : request_bytes(row.counter("drover_http_request_bytes_total")),
      log_lost(row.counter("drover_http_access_log_lost_total")),
      unmatched(row, RouteMetrics::unmatched),
      malformed(row, RouteMetrics::malformed) {}

std::vector<CounterDeclaration> HttpCounters::declarations(std::vector<std::string> routes) {
    std::vector<CounterDeclaration> counters{
        {.name = "drover_http_request_bytes_total",
         .unit = "bytes",
         .help = "Bytes of requests, heads and bodies."},
        {.name = "drover_http_access_log_lost_total",
         .unit = "lines",
         .help = "Lines that the access log did not take."},
    };
    routes.emplace_back(RouteMetrics::unmatched);
    routes.emplace_back(RouteMetrics::malformed);
    for (const std::string& label : routes)
        RouteMetrics::declare(counters, label);
    return counters;
}

HttpServer::HttpServer(Services& worker_services, std::shared_ptr<const Configuration> options_from,
                       HttpOptions http_options, const HandlerTable& handlers, const HttpServer* before)
    : services(worker_services),
      configuration(std::move(options_from)),
      options(std::move(http_options)),
      routes(options.routes),
      parser(RequestLimits{.head_size = options.max_head,
                           .target_size = options.max_target,
                           .header_count = options.max_headers}),
      counters(options.counted ? HttpCounters(services.counters) : HttpCounters()),
      times(before != nullptr ? before->times : std::make_shared<ResponseTimes>()),
      files(services.loop, options, before != nullptr ? &before->files : nullptr),
      spare_(std::make_shared<Exchange>()) {
    bind_routes(handlers);
    if (options.access_log.empty()) return;
    const auto file = services.files.find(*configuration, options.access_log);
    const bool same = before != nullptr && before->access_log != nullptr &&
                      before->access_log->is(file, options.access_log_format);
    access_log =
        same ? before->access_log
             : std::make_shared<AccessLog>(services.loop, file, options.access_log_format, counters.log_lost);
}

void HttpServer::bind_routes(const HandlerTable& handlers) {
    for (Route& route : routes.routes()) {
        if (options.counted)
            route.metrics = RouteMetrics(services.counters, RouteMetrics::label_of(*route.options));
        switch (route.options->kind()) {
            case RouteOptions::Kind::redirect:
                route.own_handler = std::make_unique<RedirectHandler>(*route.options);
                break;
            case RouteOptions::Kind::files:
                route.own_handler = std::make_unique<FileHandler>(
                    services, files, *route.options,
                    configuration->settings().absolute_path(route.options->root));
                break;
            case RouteOptions::Kind::handler:
                route.handler = handlers.find(route.options->handler);
                break;
            case RouteOptions::Kind::fixed:
            case RouteOptions::Kind::none:
                break;
        }
        if (route.own_handler != nullptr) route.handler = route.own_handler.get();
    }
}

std::shared_ptr<Exchange> HttpServer::take_exchange() {
    if (spare_.use_count() > 1) spare_ = std::make_shared<Exchange>();
    spare_->reset();
    return spare_;
}

void HttpServer::count(const Tally& tally, const RequestHead& head, unsigned status, std::uint64_t bytes,
                       std::uint64_t body_size, const HttpConnection& connection) {
    tally.metrics->count_response(status, bytes);
    if (access_log != nullptr) access_log->add(head, status, body_size, connection, date);
}

RouteTime* HttpServer::find_time(std::uint64_t label) noexcept {
    for (RouteMetrics* const metrics : {&counters.unmatched, &counters.malformed})
        if (metrics->time.label == label) return &metrics->time;
    for (Route& route : routes.routes())
        if (route.metrics.time.label == label) return &route.metrics.time;
    return nullptr;
}

std::size_t HttpServer::append_error(std::string& out, unsigned status, Persistence persistence,
                                     bool head_only, std::string_view extra_headers) const {
    const auto page = std::ranges::find(options.error_pages, status, &ErrorPageOptions::status);
    const bool has_page = page != options.error_pages.end();
    const std::string text = has_page ? std::string() : error_text(status);
    const Reply reply{.status = status,
                      .type = has_page ? page->type : "text/plain",
                      .extra_headers = extra_headers,
                      .body = has_page ? page->body : std::string_view(text)};
    append_reply(out, reply, persistence, head_only, date);
    return head_only || !status_has_body(status) ? 0 : reply.body.size();
}

}  // namespace drover::http
