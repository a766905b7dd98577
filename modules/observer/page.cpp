#include "modules/observer/page.h"

#include "core/log/log.h"
#include "worker/module/master_view.h"

#include <memory>
#include <utility>

namespace drover::observer {

namespace {

constexpr const char* misdirected =
    "421 Misdirected Request: ask for an address or localhost, or list the name in [module.observer] hosts\n";

}  // namespace

// A route has all paths that begin with its own.
void Page::handle(const http::Request& request, http::Response response) {
    if (!hosts_.allows(request.host(), request.local_address()))
        return send(response, 421, "text/plain", misdirected);
    if (request.resolved_path() != path_) return send(response, 404, "text/plain", "404 Not Found\n");
    answer(request, std::move(response));
}

void Page::when_asked(http::Response response,
                      std::function<void(http::Response&, bool answered)> work) const {
    const auto kept = std::make_shared<http::Response>(std::move(response));  // a std::function is copied
    services_->master->ask_status([this, kept, work = std::move(work)](bool answered) {
        try {
            work(*kept, answered);
        } catch (const std::exception& failure) {
            services_->log.error(std::string("observer: ") + failure.what());
            kept->send_error(500);
        }
    });
}

http::Response& add_headers(http::Response& response) {
    return response.lines("X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
}

void send(http::Response& response, unsigned status, std::string_view type, std::string_view body) {
    add_headers(response).send(status, type, body);
}

}  // namespace drover::observer
