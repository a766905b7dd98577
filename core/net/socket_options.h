// SocketOptions is what can be set on a listening socket, as it was when the socket was made. Whoever holds
// the socket can change it, for all and for the connections that come from it (socket(7), ip(7), ipv6(7),
// tcp(7), udp(7)); put_back() undoes that. Runs in: the master.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace drover {

class SocketOptions {
  public:
    // Of `socket` as it is now: those that it has.
    explicit SocketOptions(int socket);

    struct Changes {
        std::string found;   // "SO_LINGER, TCP_MAXSEG"; empty: none
        bool undone = true;  // false: the kernel does not take one of them back
    };
    // Sets those that differ.
    Changes put_back(int socket) const;

  private:
    struct Value {
        std::size_t option = 0;  // in the table of all
        std::vector<std::byte> bytes;
    };
    std::vector<Value> values_;
};

}  // namespace drover
