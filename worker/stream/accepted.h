// Accepted is a connection as a module gets it: fresh from a listening socket, or from another worker. Runs
// in: worker.
#pragma once

#include "core/base/unique_fd.h"

namespace drover {

struct CarriedConnection;

struct Accepted {
    UniqueFd socket;        // non-blocking, close-on-exec
    unsigned listener = 0;  // index into the pool's list of listeners
    // The state that it brings from another worker; null: it is new. Valid until adopt() returns.
    const CarriedConnection* carried = nullptr;
    bool closing = false;        // the giver had closed it, and output waits
    unsigned gone_listener = 0;  // not 0: a reload took the listener away; Connection's number of it
};

}  // namespace drover
