#include "modules/http/status_handler.h"

#include "worker/status_json.h"

namespace drover::http {

void StatusHandler::handle(const Request&, Response response) {
    const std::string status = status_json(services_->counters.reader(), services_->loop.now_ms());
    response.header("Cache-Control", "no-store").send(200, "application/json", status);
}

}  // namespace drover::http
