// Page is what the observer answers one path with, and nothing below it, to who asks for it by a name that
// may be (host_rule.h). Runs in: worker.
#pragma once

#include "modules/http/request_handler.h"
#include "modules/observer/host_rule.h"

#include <functional>
#include <string>
#include <string_view>

namespace drover::observer {

class Page : public http::RequestHandler {
  public:
    // `hosts` outlives the page.
    Page(std::string_view path, const HostRule& hosts) : path_(path), hosts_(hosts) {}

    void start(Services& services) override { services_ = &services; }
    void handle(const http::Request& request, http::Response response) final;

  protected:
    virtual void answer(const http::Request& request, http::Response response) = 0;
    // Calls `work` when the master has answered, or has not (worker/module/master_view.h). An exception is
    // logged and answered 500.
    void when_asked(http::Response response, std::function<void(http::Response&, bool answered)> work) const;
    Services& services() const noexcept { return *services_; }

  private:
    std::string path_;
    const HostRule& hosts_;
    Services* services_ = nullptr;
};

// With what each answer says of itself: it is what its type says, and it is old at once.
void send(http::Response& response, unsigned status, std::string_view type, std::string_view body);
http::Response& add_headers(http::Response& response);

}  // namespace drover::observer
