// RedirectHandler sends the clients of one route elsewhere. Runs in: worker.
#pragma once

#include "modules/http/http_options.h"
#include "modules/http/request_handler.h"

namespace drover::http {

class RedirectHandler final : public RequestHandler {
  public:
    // `route` must stay.
    explicit RedirectHandler(const RouteOptions& route) : route_(route) {}

    std::string_view methods() const noexcept override { return "GET, HEAD, POST, PUT, PATCH, DELETE"; }
    void handle(const Request& request, Response response) override;

  private:
    const RouteOptions& route_;
};

}  // namespace drover::http
