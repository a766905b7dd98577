#include "modules/http/http_server.h"

#include "modules/http/file_handler.h"
#include "modules/http/http_connection.h"
#include "modules/http/redirect_handler.h"

#include <algorithm>
#include <utility>

namespace drover::http {

HttpCounters::HttpCounters(const CounterRow& row)
    : requests(row.counter("drover_http_requests_total")),
      replies_2xx(row.counter("drover_http_responses_2xx_total")),
      replies_3xx(row.counter("drover_http_responses_3xx_total")),
      replies_4xx(row.counter("drover_http_responses_4xx_total")),
      replies_5xx(row.counter("drover_http_responses_5xx_total")),
      bytes_in(row.counter("drover_http_bytes_in_total")),
      bytes_out(row.counter("drover_http_bytes_out_total")),
      log_lost(row.counter("drover_http_access_log_lost_total")) {}

std::vector<CounterDeclaration> HttpCounters::declarations() {
    const auto counter = [](const char* name, const char* unit, const char* help) {
        return CounterDeclaration{.name = name, .kind = CounterKind::counter, .unit = unit, .help = help};
    };
    return {
        counter("drover_http_requests_total", "requests", "Requests whose head was complete, good or bad."),
        counter("drover_http_responses_2xx_total", "responses", "Responses that say success."),
        counter("drover_http_responses_3xx_total", "responses", "Responses that send elsewhere."),
        counter("drover_http_responses_4xx_total", "responses", "Responses that refuse the request."),
        counter("drover_http_responses_5xx_total", "responses", "Responses that say that the server cannot."),
        counter("drover_http_bytes_in_total", "bytes", "Bytes of requests, heads and bodies."),
        counter("drover_http_bytes_out_total", "bytes", "Bytes of responses, heads and bodies."),
        counter("drover_http_access_log_lost_total", "lines", "Lines that the access log did not take."),
    };
}

void HttpCounters::count_reply(unsigned status) noexcept {
    switch (status / 100) {
        case 2:
            return replies_2xx.add();
        case 3:
            return replies_3xx.add();
        case 4:
            return replies_4xx.add();
        default:
            return replies_5xx.add();
    }
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
      files(services.loop, options),
      spare_(std::make_shared<Exchange>()) {
    bind_handlers(handlers);
    if (options.access_log.empty()) return;
    const std::string path = configuration->settings().absolute_path(options.access_log);
    const bool same = before != nullptr && before->access_log != nullptr &&
                      before->access_log->is(path, options.access_log_format);
    access_log =
        same ? before->access_log
             : std::make_shared<AccessLog>(services.loop, path, options.access_log_format, counters.log_lost);
}

void HttpServer::bind_handlers(const HandlerTable& handlers) {
    for (Route& route : routes.routes()) {
        switch (route.options->kind()) {
            case RouteOptions::Kind::redirect:
                route.own_handler = std::make_unique<RedirectHandler>(*route.options);
                break;
            case RouteOptions::Kind::files:
                route.own_handler = std::make_unique<FileHandler>(
                    files, *route.options, configuration->settings().absolute_path(route.options->root));
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

void HttpServer::count(const RequestHead& head, unsigned status, std::uint64_t bytes, std::uint64_t body_size,
                       const HttpConnection& connection) {
    counters.count_reply(status);
    counters.bytes_out.add(bytes);
    if (access_log != nullptr) access_log->add(head, status, body_size, connection, date);
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
