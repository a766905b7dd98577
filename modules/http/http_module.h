// The http module: HTTP/1.1 and 1.0, fixed replies and the server's status. Start reading at
// http_connection.h. Runs in: worker; declared and checked in the config reader.
#pragma once

#include "modules/http/http_connection.h"
#include "worker/module.h"

#include <memory>

namespace drover::http {

class HttpModule final : public Module {
  public:
    std::string_view name() const noexcept override { return "http"; }
    const OptionTable& options() const override { return HttpOptions::options(); }
    std::vector<CounterDeclaration> counters() const override;
    void check(const ImageNode& options, Complaints& complaints) const override;

    void start(Services& services, const ImageNode& options) override;
    void connection(Accepted accepted) override;
    void prepare(const std::shared_ptr<const Configuration>& next, const ImageNode& options) override;
    void commit() noexcept override { server_ = std::move(next_); }
    void abandon() noexcept override { next_.reset(); }
    void adopt(Accepted accepted, std::string_view state) override;
    void stop() noexcept override { server_.reset(); }

  private:
    std::shared_ptr<HttpServer> server_;  // connections look here for each request
    std::shared_ptr<HttpServer> next_;    // while a hot reload is prepared
};

}  // namespace drover::http
