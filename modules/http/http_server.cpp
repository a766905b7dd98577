#include "modules/http/http_server.h"

#include <utility>

namespace drover::http {

HttpCounters::HttpCounters(const CounterRow& row)
    : requests(row.counter("drover_http_requests_total")),
      replies_2xx(row.counter("drover_http_responses_2xx_total")),
      replies_3xx(row.counter("drover_http_responses_3xx_total")),
      replies_4xx(row.counter("drover_http_responses_4xx_total")),
      replies_5xx(row.counter("drover_http_responses_5xx_total")) {}

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
                       HttpOptions http_options)
    : services(worker_services),
      configuration(std::move(options_from)),
      options(std::move(http_options)),
      routes(options.routes),
      parser(RequestLimits{.head_size = options.max_head,
                           .target_size = options.max_target,
                           .header_count = options.max_headers}),
      counters(services.counters) {}

}  // namespace drover::http
