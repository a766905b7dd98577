#include "modules/http/redirect_handler.h"

#include "modules/http/path.h"

#include <string>

namespace drover::http {

void RedirectHandler::handle(const Request& request, Response response) {
    std::string location(route_.redirect.to);
    if (route_.redirect.keep_rest) {
        append_escaped_path(location, request.resolved_path().substr(route_.path.size()));
        if (!request.query().empty()) location.append("?").append(request.query());
    }
    response.header("Location", location).send(route_.redirect.status, {}, {});
}

}  // namespace drover::http
