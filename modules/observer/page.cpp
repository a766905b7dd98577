#include "modules/observer/page.h"

namespace drover::observer {

// A route has all paths that begin with its own.
void Page::handle(const http::Request& request, http::Response response) {
    if (request.resolved_path() != path_) return send(response, 404, "text/plain", "404 Not Found\n");
    answer(request, std::move(response));
}

http::Response& add_headers(http::Response& response) {
    return response.lines("X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
}

void send(http::Response& response, unsigned status, std::string_view type, std::string_view body) {
    add_headers(response).send(status, type, body);
}

}  // namespace drover::observer
