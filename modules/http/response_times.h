// ResponseTimes holds responses that were written and have not left yet, and observes how long each request
// took when the last byte has: mostly at the end of the hook that wrote it. Hooks nest, so that the responses
// of the hook that ends are the last ones. What the socket does not take at once is the connection's to keep;
// it holds no generation alive. One a worker. Runs in: worker.
#pragma once

#include "modules/http/route_metrics.h"

#include <cstdint>
#include <vector>

namespace drover::http {

class HttpConnection;

// Some that began together, as pipelined ones do.
struct UnsentResponses {
    const HttpConnection* connection = nullptr;
    RouteTime time;
    std::int64_t began_us = 0;
    std::uint64_t generation = 0;  // that declared `time`
    std::uint32_t count = 0;

    void observe(RouteTime& where, std::int64_t now_us) const noexcept {
        where.seconds.observe(now_us > began_us ? static_cast<std::uint64_t>(now_us - began_us) : 0, count);
    }
};
using UnsentList = std::vector<UnsentResponses>;

class ResponseTimes {
  public:
    // Written in the hook of `connection` that is running.
    void add(const HttpConnection& connection, const RouteTime& time, std::int64_t began_us,
             std::uint64_t generation);
    bool has(const HttpConnection& connection) const noexcept {
        return !unsent_.empty() && unsent_.back().connection == &connection;
    }
    // Those of `connection` have left.
    void observe(const HttpConnection& connection, std::int64_t now_us) noexcept;
    // Those of `connection` have not: they are `list`'s now.
    void move(const HttpConnection& connection, UnsentList& list);

  private:
    UnsentList unsent_;
};

}  // namespace drover::http
