// HttpServer is one generation of what all HTTP connections of one worker share: options, routes with their
// replies, the parser (one is enough: a head is parsed in one go), counters. Owned by the module. Runs in:
// worker.
#pragma once

#include "core/counter.h"
#include "modules/http/http_options.h"
#include "modules/http/http_reply.h"
#include "modules/http/request_parser.h"
#include "modules/http/route_table.h"
#include "worker/services.h"

#include <memory>
#include <string>
#include <vector>

namespace drover::http {

struct HttpCounters {
    explicit HttpCounters(const CounterRow& row);
    static std::vector<CounterDeclaration> declarations();
    void count_reply(unsigned status) noexcept;

    Counter requests;
    Counter replies_2xx;
    Counter replies_3xx;
    Counter replies_4xx;
    Counter replies_5xx;
};

struct HttpServer {
    HttpServer(Services& worker_services, std::shared_ptr<const Configuration> options_from,
               HttpOptions http_options);

    Services& services;
    std::shared_ptr<const Configuration> configuration;  // the texts of options and routes lie in it
    HttpOptions options;
    RouteTable routes;
    RequestParser parser;
    HttpCounters counters;
    HttpDate date;
    std::string scratch;  // a reply being made; kept for its memory
};

}  // namespace drover::http
