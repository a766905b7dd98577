// HttpServer is one generation of what all HTTP connections of one worker share: options, routes with their
// replies, open files, the parser (one is enough: a head is parsed in one go), counters. Owned by the module,
// and by the exchanges that began with it. Runs in: worker.
#pragma once

#include "core/counters/counter.h"
#include "modules/http/access_log.h"
#include "modules/http/exchange.h"
#include "modules/http/http_options.h"
#include "modules/http/http_reply.h"
#include "modules/http/open_files.h"
#include "modules/http/request_parser.h"
#include "modules/http/route_metrics.h"
#include "modules/http/route_table.h"
#include "modules/http/unsent_replies.h"
#include "worker/module/services.h"

#include <memory>
#include <string>
#include <vector>

namespace drover::http {

class HttpConnection;

struct HttpCounters {
    HttpCounters() = default;  // counts nothing
    explicit HttpCounters(const CounterRow& row);
    // Those of routes with these labels, and of what has no route.
    static std::vector<CounterDeclaration> declarations(std::vector<std::string> routes);

    Counter request_bytes;
    Counter log_lost;
    RouteMetrics unmatched;
    RouteMetrics malformed;
};

struct HttpServer {
    // `handlers` are the module's, which outlive all servers. `before`, the server that this one is to
    // follow, or null, passes on what is the worker's, and its access log when the file is the same. Throws
    // when a root cannot be opened.
    HttpServer(Services& worker_services, std::shared_ptr<const Configuration> options_from,
               HttpOptions http_options, const HandlerTable& handlers, const HttpServer* before = nullptr);

    // A clean one; in turn always the same, if it is free.
    std::shared_ptr<Exchange> take_exchange();
    // Counts and logs a reply of which `sent` bytes have left, and no more will.
    void finish(const UnsentReply& reply, std::uint64_t sent, std::string_view peer, std::int64_t now_us);
    // The configured page or a line of text. Returns how many bytes of it are body.
    std::size_t append_error(std::string& out, unsigned status, Persistence persistence, bool head_only,
                             std::string_view extra_headers = {}) const;

    Services& services;
    std::shared_ptr<const Configuration> configuration;  // the texts of options and routes lie in it
    HttpOptions options;
    RouteTable routes;
    RequestParser parser;
    HttpCounters counters;
    std::shared_ptr<UnsentReplies> unsent;
    HttpDate date;
    OpenFiles files;
    std::shared_ptr<AccessLog> access_log;  // null: none
    std::string scratch;                    // a reply being made; kept for its memory
    std::string path_scratch;               // a path being resolved
    std::string_view resolved_path;         // of the request that is being begun

  private:
    void bind_routes(const HandlerTable& handlers);
    // Of the route with that label in this generation; null: it has none.
    RouteMetrics* find_metrics(std::uint64_t label) noexcept;
    std::shared_ptr<Exchange> spare_;
};

}  // namespace drover::http
