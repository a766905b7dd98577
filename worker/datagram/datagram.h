// Datagram is one that came to a listener for datagrams, udp or unix: it lives as long as the call of the
// hook that is given it. ReturnAddress is what is kept of one to answer it later: small, freely copied. Both
// send from the address that the datagram was sent to. Runs in: worker, on its event-loop thread; a
// ReturnAddress may be copied and destroyed on others.
#pragma once

#include "core/net/address.h"

#include <memory>
#include <string_view>

#include <netinet/in.h>
#include <sys/un.h>

namespace drover {

class DatagramSocket;

// Who sent a datagram, and the address of this machine that it was sent to.
struct DatagramPath {
    union Peer {
        sockaddr_in6 inet;  // or a sockaddr_in
        sockaddr_un path;
    };
    Peer peer{};
    socklen_t peer_size = 0;  // of a unix peer without a name, whom no reply reaches, that of its family
    in6_addr local{};         // or an in_addr, then zeros; all zero: that of the socket
    unsigned interface = 0;   // of `local`, when that is link-local

    sa_family_t family() const noexcept { return peer.inet.sin6_family; }
};

class ReturnAddress {
  public:
    // Special state: empty, which drops every reply.
    ReturnAddress() noexcept = default;

    // Sends a datagram there; any number of times. Never waits. False: it is dropped, and counted, because
    // the socket takes no more and enough waits already, because it is too long for a datagram (over IPv4
    // 65507 bytes, over IPv6 65527), because a unix peer does not read, or because the kernel refuses it; or
    // it is dropped, and counted nowhere, because the listener is gone. True: it is sent, or waits for the
    // socket, or for the end of a turn; a refusal by the kernel is counted then. Nobody knows whether it
    // arrives.
    bool reply(std::string_view bytes) const;
    // An IPv4 client of a listener for both has an IPv4 address.
    Address peer_address() const noexcept;

  private:
    friend class Datagram;
    ReturnAddress(std::shared_ptr<DatagramSocket> socket, const DatagramPath& path) noexcept
        : socket_(std::move(socket)), path_(path) {}

    std::shared_ptr<DatagramSocket> socket_;
    DatagramPath path_;
};

class Datagram {
  public:
    Datagram(DatagramSocket& socket, const DatagramPath& path, std::string_view payload) noexcept
        : socket_(socket), path_(path), payload_(payload) {}
    Datagram(const Datagram&) = delete;
    Datagram& operator=(const Datagram&) = delete;

    // May be empty; valid during the call.
    std::string_view payload() const noexcept { return payload_; }
    // Index into the pool's list of listeners; 0xffff when a hot reload has just taken the listener away.
    unsigned listener() const noexcept;
    Address peer_address() const noexcept;
    Address local_address() const noexcept;

    // As ReturnAddress::reply. Replies of the hooks of one turn leave together.
    bool reply(std::string_view bytes) const;

    // A worker that drains waits, within drain_timeout, until nobody keeps one.
    ReturnAddress return_address() const;

  private:
    DatagramSocket& socket_;
    const DatagramPath& path_;
    std::string_view payload_;
};

}  // namespace drover
