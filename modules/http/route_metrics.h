// RouteMetrics is what is counted of the requests of one route, or of those that have none. Its cells lie
// side by side, so that a request touches few cache lines. Good as long as the Configuration that declared
// it. Runs in: worker; declared in the config reader.
#pragma once

#include "core/counter.h"
#include "core/counter_row.h"
#include "core/histogram.h"
#include "modules/http/http_options.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace drover::http {

// Where its time is observed. The label stays the same from generation to generation.
struct RouteTime {
    std::uint64_t label = 0;  // hash of it
    Histogram seconds;
};

struct RouteMetrics {
    // Labels of what has no route: none fits; the head was none, or did not come in time.
    static constexpr std::string_view unmatched = "unmatched";
    static constexpr std::string_view malformed = "malformed";
    // Microseconds.
    static constexpr HistogramBounds time_bounds{1, 60'000'000};

    RouteMetrics() noexcept = default;
    // `label` as in its declaration.
    RouteMetrics(const CounterRow& row, std::string_view label);

    // The route's name, or its host and path, as far as labels have room.
    static std::string label_of(const RouteOptions& route);
    static void declare(std::vector<CounterDeclaration>& counters, std::string_view label);

    void count_response(unsigned status, std::uint64_t size) noexcept {
        responses[std::clamp(status / 100, 2U, 5U) - 2].add();
        bytes.add(size);
    }

    Counter requests;
    std::array<Counter, 4> responses;  // 2xx, 3xx, 4xx, 5xx
    Counter bytes;
    RouteTime time;
};

struct HttpServer;

// Where a request counts, and since when its time does: CLOCK_MONOTONIC, microseconds.
struct Tally {
    HttpServer* server = nullptr;  // whose metrics they are
    RouteMetrics* metrics = nullptr;
    std::int64_t began_us = 0;
};

}  // namespace drover::http
