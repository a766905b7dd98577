// The http module: HTTP/1.1 and 1.0, fixed replies, redirects, files, and handlers in C++. A program that has
// handlers of its own derives from it (modules/http/request_handler.h). Start reading at http_connection.h.
// Runs in: worker; declared and checked in the config reader.
#pragma once

#include "modules/http/request_handler.h"
#include "worker/module/module.h"

#include <memory>

namespace drover::http {

struct HttpServer;

class HttpModule : public Module {
  public:
    // The handlers that routes may name, beside "status". Called once in each process that needs them.
    virtual void add_handlers(HandlerTable& /*handlers*/) const {}

    std::string_view name() const noexcept override { return "http"; }
    const OptionTable& options() const override;
    std::vector<CounterDeclaration> counters() const override;
    std::vector<CounterDeclaration> counters_of(const ImageNode& options) const override;
    void check(const ImageNode& options, Complaints& complaints) const override;

    void start(Services& services, const ImageNode& options) override;
    void connection(Accepted accepted) override;
    void prepare(const std::shared_ptr<const Configuration>& next, const ImageNode& options) override;
    void commit() noexcept override;
    void abandon() noexcept override;
    void adopt(Accepted accepted, std::string_view state) override;
    void stop() noexcept override;

  private:
    HandlerTable make_handlers() const;

    HandlerTable handlers_;
    std::shared_ptr<HttpServer> server_;  // connections look here for each request
    std::shared_ptr<HttpServer> next_;    // while a hot reload is prepared
};

}  // namespace drover::http
