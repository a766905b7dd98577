// Exchange is one request that is not answered yet: what its answer needs, shared by the connection and the
// handler's Response; whichever ends first tells the other. Fixed replies to requests without a body need
// none. A server keeps one that is done for the next request. Runs in: worker.
#pragma once

#include "modules/http/body_reader.h"
#include "modules/http/least_rate.h"
#include "modules/http/request_handler.h"
#include "modules/http/request_parser.h"
#include "modules/http/route_metrics.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace drover::http {

class HttpConnection;
struct HttpServer;
struct Route;

struct Exchange {
    enum class Stage : std::uint8_t {
        body,       // of the request, is still coming
        answering,  // the handler works
        streaming,  // the answer has begun
        done,
    };

    // For a new request; what was allocated stays.
    void reset();
    // Copies the head, so that it outlives the input. `head` then has views into the copy.
    void keep_head();

    HttpConnection* connection = nullptr;  // null: done, or the connection is gone
    std::shared_ptr<HttpServer> server;    // the generation that answers
    Route* route = nullptr;                // null: refused, with `status`
    Tally tally;
    std::string_view allow;  // the methods there are, for 405 and OPTIONS
    RequestHead head;
    std::string kept_head;
    std::string resolved_path;

    std::optional<BodyReader> reader;  // while the body comes
    LeastRate rate;                    // at which the body comes
    std::string body;                  // whole
    std::unique_ptr<BodyReceiver> receiver;

    Stage stage = Stage::answering;
    bool more_follows = false;  // another request is here already
    bool keep_alive = false;    // what the head of the answer says
    bool chunked = false;
    bool body_paused = false;
    bool client_gone = false;
    unsigned status = 200;
    std::string type;
    std::string headers;  // complete lines
    std::optional<std::uint64_t> declared_length;
    std::uint32_t head_size = 0;   // of the answer, and of what came before it ("100 Continue")
    std::uint64_t written = 0;     // bytes that the connection took, head and framing included
    std::uint64_t body_given = 0;  // by the handler
    std::string peer;              // for the access log, where the head is kept
    std::function<void()> on_writable;
    std::function<void()> on_client_gone;
};

}  // namespace drover::http
