// A server whose one route is answered by what a test says. Runs in: tests.
#pragma once

#include "modules/http/http.h"
#include "tests/modules/http_server_fixture.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

namespace drover::test {

using http::BodyReceiver;
using http::HandlerTable;
using http::Request;
using http::RequestHandler;
using http::Response;

// What the handler "play" of a test does.
struct Play {
    std::function<void(const Request&, Response)> handle;
    std::function<std::unique_ptr<BodyReceiver>(const Request&, Response&)> receive =
        [](const Request&, Response&) { return nullptr; };
    bool started = false;
};
inline Play* play = nullptr;

struct PlayHandler final : RequestHandler {
    void start(Services&) override { play->started = true; }
    std::string_view methods() const noexcept override { return "GET, HEAD, POST"; }
    void handle(const Request& request, Response response) override {
        play->handle(request, std::move(response));
    }
    std::unique_ptr<BodyReceiver> receive(const Request& request, Response& response) override {
        return play->receive(request, response);
    }
};

struct PlayModule final : http::HttpModule {
    void add_handlers(HandlerTable& handlers) const override { handlers.add<PlayHandler>("play"); }
};

inline constexpr ModuleFactory play_modules[] = {make_module<PlayModule>};

struct PlayServer : WorkerFixture {
    explicit PlayServer(Play& actions)
        : WorkerFixture((play = &actions, play_modules), "http",
                        limits + "[[module.http.route]]\npath = \"/\"\nhandler = \"play\"\n") {}
};

inline std::string reply_of(PlayServer& server, const std::string& request) {
    FixtureClient client(server);
    CHECK(client.send(request));
    CHECK(client.read_to_end());
    CHECK_FALSE(client.reset());
    return without_dates(client.received());
}

inline std::string request_with(const std::string& lines, const std::string& body = "",
                                const std::string& method = "GET") {
    return method + " /a%20b?x=1 HTTP/1.1\r\nHost: h:80\r\n" + lines + "\r\n" + body;
}

// Keeps the response for later.
struct Later {
    Play actions{.handle = [this](const Request&, Response given) { response = std::move(given); }};
    Response response;
};

}  // namespace drover::test
