#include "master/supervise/leftovers.h"

#include "core/process/lineage.h"

#include <csignal>
#include <utility>

namespace drover {

Leftovers::Leftovers(EventLoop& loop, Timer::Handler on_deadline) : deadline_(loop, on_deadline) {
    adopt_orphans();
}

Leftovers::State Leftovers::end() {
    pids_ = children_of_lineage();
    if (pids_.empty()) return State::none;
    const bool first = !std::exchange(begun_, true);
    if (first) deadline_.start_once(longest);
    if (!deadline_.started()) return State::given_up;
    // Nobody but us reaps them, so that none of these pids can mean another by now.
    for (const pid_t pid : pids_)
        ::kill(pid, SIGKILL);
    return first ? State::found : State::ending;
}

}  // namespace drover
