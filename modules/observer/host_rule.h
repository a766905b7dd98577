// HostRule tells who may be asked for by which name. A web page whose name is made to mean 127.0.0.1 (DNS
// rebinding) could read the observer through an operator's browser, as a page of its own; the browser says
// the page's name in Host. So on a loopback address or a unix socket only names are taken that nobody else
// can give. A value. Runs in: worker.
#pragma once

#include "core/net/address.h"

#include <string>
#include <string_view>
#include <vector>

namespace drover::observer {

class HostRule {
  public:
    // `names` are taken, too: without a port, in any case.
    explicit HostRule(const std::vector<std::string_view>& names);

    // Whether a request with this Host that came to `local` is answered. Without a Host, with an address as
    // Host, with localhost and the names below it (RFC 6761, 6.3) it is; on other addresses than loopback
    // ones with any.
    bool allows(std::string_view host, const Address& local) const;

  private:
    std::vector<std::string> names_;  // in lower case
};

}  // namespace drover::observer
