#include "modules/http/status_handler.h"

#include "worker/module/master_view.h"

#include <memory>
#include <utility>

namespace drover::http {

void StatusHandler::handle(const Request&, Response response) {
    const auto kept = std::make_shared<Response>(std::move(response));  // a std::function is copied
    services_->master->ask_status([this, kept](bool answered) {
        kept->header("Cache-Control", "no-store");
        if (!answered) return kept->send(503, "text/plain", "the master does not answer\n");
        kept->send(200, "application/json", services_->master->status_json());
    });
}

}  // namespace drover::http
