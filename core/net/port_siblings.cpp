#include "core/net/port_siblings.h"

#include "core/base/system_error.h"
#include "core/net/listener.h"
#include "core/net/port_owners.h"

#include <algorithm>
#include <cerrno>

#include <sys/stat.h>

namespace drover {

PortSiblings::PortSiblings(const Address& address, bool ipv6_only,
                           std::span<const std::shared_ptr<Listener>> all)
    : address_(address), ipv6_only_(ipv6_only) {
    for (const auto& listener : all) {
        const bool shares =
            share_port(address, ipv6_only, listener->address(), listener->options().ipv6_only);
        if (shares && !listener->absent()) siblings_.push_back(listener.get());
    }
}

// A sibling on the very address would be joined, and its connections shared. Sockets that were turned away
// may still be held by workers, and are nobody's.
void PortSiblings::check_no_other(int own) const {
    std::vector<ino_t> ours;
    const auto add = [&ours](int socket) {
        struct stat status {};
        if (::fstat(socket, &status) == 0) ours.push_back(status.st_ino);
    };
    if (own >= 0) add(own);
    bool same_place = false;
    for (const Listener* const sibling : siblings_) {
        same_place = same_place || (sibling->address() == address_ && !sibling->turned_away());
        for (unsigned i = 0; i < sibling->sockets(); ++i)
            add(sibling->socket_for(i));
    }
    if (same_place || strangers_at(address_, ipv6_only_, ours) != Strangers::none)
        throw_error(EADDRINUSE, "bind", address_.text());
}

void PortSiblings::make_room() const {
    for (Listener* const sibling : siblings_) {
        if (!sibling->turned_away()) sibling->allow_siblings();
    }
}

}  // namespace drover
