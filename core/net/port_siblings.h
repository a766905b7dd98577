// PortSiblings are the listeners of this service that have a part of an address's port, as "*:80" has of
// "127.0.0.1:80": it can be bound beside them when nobody else is there. Runs in: the master.
#pragma once

#include "core/net/address.h"

#include <memory>
#include <span>
#include <vector>

namespace drover {

class Listener;

class PortSiblings {
  public:
    // `address` and the listeners outlive it.
    PortSiblings(const Address& address, bool ipv6_only, std::span<const std::shared_ptr<Listener>> all);

    bool empty() const noexcept { return siblings_.empty(); }
    // Throws std::system_error (EADDRINUSE): one of them has the very address, or a socket of somebody else
    // has a part of its port. `own` is a socket that is at the address already; -1: none is.
    void check_no_other(int own = -1) const;
    // From then on the address can be bound. Throws std::system_error.
    void make_room() const;

  private:
    const Address& address_;
    bool ipv6_only_;
    std::vector<Listener*> siblings_;
};

}  // namespace drover
