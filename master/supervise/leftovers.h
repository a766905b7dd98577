// Leftovers are processes that workers and config readers have left behind: modules fork, and what they fork
// may go on, with a port open. They are ended before the service says that it has stopped. Owned by whoever
// stops. Runs in: the master, and `drover check`.
#pragma once

#include "core/loop/event_loop.h"

#include <chrono>
#include <cstdint>
#include <vector>

#include <sys/types.h>

namespace drover {

class Leftovers {
  public:
    // From here on orphans of the service become our children.
    Leftovers(EventLoop& loop, Timer::Handler on_deadline);

    enum class State : std::uint8_t {
        none,     // nothing is left
        found,    // something is, and was killed: ask again when a child has ended, or at the deadline
        ending,   // the same, not for the first time
        given_up  // something is left that no kill has ended in time
    };
    // While workers or config readers live these are left, too.
    State end();
    // Those of the last end().
    const std::vector<pid_t>& pids() const noexcept { return pids_; }

  private:
    static constexpr std::chrono::milliseconds longest{2000};

    Timer deadline_;  // from the first that was found on
    bool begun_ = false;
    std::vector<pid_t> pids_;
};

}  // namespace drover
