// StatusHandler answers with the server's status as JSON, which it asks the master for, or 503 when the
// master does not answer: the handler "status". Runs in: worker.
#pragma once

#include "modules/http/request_handler.h"

namespace drover::http {

class StatusHandler final : public RequestHandler {
  public:
    void start(Services& services) override { services_ = &services; }
    void handle(const Request& request, Response response) override;

  private:
    Services* services_ = nullptr;
};

}  // namespace drover::http
