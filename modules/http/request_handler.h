// RequestHandler answers the requests of routes that name it: derive from it, and add it to the handlers of a
// module derived from HttpModule:
//
//     struct Hello final : drover::http::RequestHandler {
//         void handle(const drover::http::Request& request, drover::http::Response response) override {
//             response.send("Hello, " + std::string(request.query()) + "\n");
//         }
//     };
//     struct MyHttp final : drover::http::HttpModule {
//         void add_handlers(drover::http::HandlerTable& handlers) const override {
//             handlers.add<Hello>("hello");
//         }
//     };
//
// A route says handler = "hello" then. Runs in: worker, on its one thread; one object a worker, for all
// routes and generations; made in the config reader, too, where no hook is called.
#pragma once

#include "modules/http/request.h"
#include "modules/http/response.h"
#include "worker/module/services.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover::http {

// Takes the body of one request as it comes. Destroyed with the request's end.
class BodyReceiver {
  public:
    enum class Next : std::uint8_t {
        more,
        pause,  // no more until Response::resume_body()
    };

    virtual ~BodyReceiver() = default;
    virtual Next on_body(std::string_view piece) = 0;
    // All of it has come. Not called when the client goes or the body is refused.
    virtual void on_body_end() = 0;
};

class RequestHandler {
  public:
    virtual ~RequestHandler() = default;

    // In the worker's start, and at its end, when no connection is left.
    virtual void start(Services& /*services*/) {}
    virtual void stop() noexcept {}

    // The methods that it takes, as an Allow header lists them. Others are answered 405, OPTIONS with this.
    virtual std::string_view methods() const noexcept { return "GET, HEAD"; }

    // Answer now, or keep the response and answer later on the same thread. An exception is logged and
    // answered 500.
    virtual void handle(const Request& request, Response response) = 0;

    // Asked before handle() for a request that has a body: who returns a receiver, which then has taken the
    // response (std::move), gets the body as it comes. Null: handle() is called when all of it is there.
    virtual std::unique_ptr<BodyReceiver> receive(const Request& /*request*/, Response& /*response*/) {
        return nullptr;
    }
};

// The handlers that a program has, by the names that routes call them by.
class HandlerTable {
  public:
    // [a-z0-9_]+; a name that stands twice counts once, the first.
    template <class T, class... Args>
    void add(std::string name, Args&&... args) {
        handlers_.emplace_back(std::move(name), std::make_unique<T>(std::forward<Args>(args)...));
    }

    // Null: no such handler.
    RequestHandler* find(std::string_view name) const noexcept {
        for (const auto& [known, handler] : handlers_)
            if (known == name) return handler.get();
        return nullptr;
    }
    // "status, hello"
    std::string names() const {
        std::string names;
        for (const auto& entry : handlers_)
            names.append(names.empty() ? "" : ", ").append(entry.first);
        return names;
    }
    void start(Services& services) const {
        for (const auto& entry : handlers_)
            entry.second->start(services);
    }
    void stop() const noexcept {
        for (const auto& entry : handlers_)
            entry.second->stop();
    }

  private:
    std::vector<std::pair<std::string, std::unique_ptr<RequestHandler>>> handlers_;
};

}  // namespace drover::http
