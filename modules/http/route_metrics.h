// RouteMetrics is what is counted of the requests of one route, or of those that have none. Its cells lie
// side by side, so that a request touches few cache lines. Good as long as the Configuration that declared
// it. Runs in: worker; declared in the config reader.
#pragma once

#include "core/counters/counter.h"
#include "core/counters/counter_row.h"
#include "core/counters/histogram.h"
#include "modules/http/http_options.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace drover::http {

struct RouteMetrics {
    // Labels of what has no route: none fits; the head was none, or did not come in time.
    static constexpr std::string_view unmatched = "unmatched";
    static constexpr std::string_view malformed = "malformed";
    // Microseconds.
    static constexpr HistogramBounds time_bounds{1, 60'000'000};

    RouteMetrics() noexcept = default;
    // `route` as in its declaration.
    RouteMetrics(const CounterRow& row, std::string_view route);

    // The route's name, or its host and path, as far as labels have room.
    static std::string label_of(const RouteOptions& route);
    static void declare(std::vector<CounterDeclaration>& counters, std::string_view label);

    Counter requests;
    std::array<Counter, 4> responses;  // 2xx, 3xx, 4xx, 5xx
    Counter aborted;
    Counter bytes;
    Histogram seconds;
    std::string label;
    std::uint64_t hash = 0;  // of the label: the same from generation to generation
};

struct HttpServer;

// Where a request counts, and since when its time does: CLOCK_MONOTONIC, microseconds.
struct Tally {
    HttpServer* server = nullptr;  // whose metrics they are
    RouteMetrics* metrics = nullptr;
    std::int64_t began_us = 0;
};

}  // namespace drover::http
