#include "modules/http/http_server.h"

#include "modules/http/file_handler.h"
#include "modules/http/http_connection.h"
#include "modules/http/redirect_handler.h"
#include "worker/module/configuration.h"

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
      unsent(before != nullptr ? before->unsent : std::make_shared<UnsentReplies>()),
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

// Those of one group leave one after another, so that the first ones may be whole when the others are not.
void HttpServer::finish(const UnsentReply& reply, std::uint64_t sent, std::string_view peer,
                        std::int64_t now_us) {
    const auto all_whole = reply.size > 0 ? static_cast<std::uint32_t>(sent / reply.size) : reply.count;
    const std::uint32_t whole = reply.cut ? 0 : all_whole;
    const std::int64_t took_us = std::max<std::int64_t>(now_us - reply.began_us, 0);
    RouteMetrics* const metrics = reply.metrics != nullptr ? reply.metrics : find_metrics(reply.label);
    if (metrics != nullptr) {
        metrics->responses[std::clamp(reply.status / 100U, 2U, 5U) - 2].add(whole);
        if (whole < reply.count) metrics->aborted.add(reply.count - whole);
        metrics->bytes.add(sent);
        metrics->seconds.observe(static_cast<std::uint64_t>(took_us), reply.count);
    }
    if (!reply.logged || access_log == nullptr) return;
    date.refresh();
    access_log->add({.request = reply.request,
                     .peer = peer,
                     .route = metrics != nullptr ? std::string_view(metrics->label) : std::string_view(),
                     .status = reply.status,
                     .bytes = sent - std::min<std::uint64_t>(sent, reply.head_size),
                     .bytes_sent = sent,
                     .took_us = took_us,
                     .aborted = whole < reply.count,
                     .second = date.second()});
}

RouteMetrics* HttpServer::find_metrics(std::uint64_t label) noexcept {
    for (RouteMetrics* const metrics : {&counters.unmatched, &counters.malformed})
        if (metrics->hash == label) return metrics;
    for (Route& route : routes.routes())
        if (route.metrics.hash == label) return &route.metrics;
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
