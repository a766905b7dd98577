#include "modules/http/route_metrics.h"

#include "modules/http/http_syntax.h"

#include <functional>

namespace drover::http {

namespace {

constexpr std::array<const char*, 4> classes{"2xx", "3xx", "4xx", "5xx"};

std::vector<CounterLabel> labels_of(std::string_view route) {
    return {{"route", std::string(route)}};
}
std::vector<CounterLabel> labels_of(std::string_view route, const char* code) {
    return {{"route", std::string(route)}, {"code", code}};
}

}  // namespace

RouteMetrics::RouteMetrics(const CounterRow& row, std::string_view route)
    : requests(row.counter("drover_http_requests_total", labels_of(route))),
      label(route),
      hash(std::hash<std::string_view>()(route)) {
    for (std::size_t index = 0; index < classes.size(); ++index)
        responses[index] = row.counter("drover_http_responses_total", labels_of(route, classes[index]));
    aborted = row.counter("drover_http_responses_aborted_total", labels_of(route));
    bytes = row.counter("drover_http_response_bytes_total", labels_of(route));
    seconds = row.histogram("drover_http_request_seconds", time_bounds, labels_of(route));
}

// Both are ASCII, so that any byte is a place to cut.
std::string RouteMetrics::label_of(const RouteOptions& route) {
    constexpr std::size_t longest = 200;
    if (!route.name.empty()) return std::string(route.name);
    return lower_host(route.host).append(route.path).substr(0, longest);
}

void RouteMetrics::declare(std::vector<CounterDeclaration>& counters, std::string_view label) {
    counters.push_back({.name = "drover_http_requests_total",
                        .unit = "requests",
                        .help = "Requests, good or bad, counted when their head was complete.",
                        .labels = labels_of(label)});
    for (const char* const code : classes) {
        counters.push_back({.name = "drover_http_responses_total",
                            .unit = "responses",
                            .help = "Responses, counted when the kernel has taken their last byte.",
                            .labels = labels_of(label, code)});
    }
    counters.push_back({.name = "drover_http_responses_aborted_total",
                        .unit = "responses",
                        .help =
                            "Responses that did not leave whole, or at all: the client went, was too slow, "
                            "or the worker ended.",
                        .labels = labels_of(label)});
    counters.push_back({.name = "drover_http_response_bytes_total",
                        .unit = "bytes",
                        .help =
                            "Bytes of responses that the kernel has taken, heads and bodies, counted when "
                            "the response has ended.",
                        .labels = labels_of(label)});
    counters.push_back({.name = "drover_http_request_seconds",
                        .kind = CounterKind::histogram,
                        .unit = "seconds",
                        .help =
                            "Of each response: from the first byte of its request until the kernel has taken "
                            "the last byte, or the connection is gone.",
                        .labels = labels_of(label),
                        .bounds = time_bounds,
                        .per_unit = 1'000'000});
}

}  // namespace drover::http
