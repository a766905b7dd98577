// ReopenDesk keeps who has asked for log files to be opened again, until no worker writes to the old ones:
// who moves or compresses those next must know. Runs in: the master.
#pragma once

#include "core/loop/event_loop.h"
#include "master/control/control.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace drover {

class ReopenDesk {
  public:
    // How long a caller waits: a worker that stands still takes nothing.
    static constexpr std::chrono::milliseconds patience{5000};

    using Laggards = std::function<std::vector<std::string>()>;  // workers that have not taken the files
    // Both outlive it.
    ReopenDesk(EventLoop& loop, ControlServer& server, Laggards laggards)
        : loop_(loop),
          server_(server),
          laggards_(std::move(laggards)),
          timer_(loop, Timer::Handler::to<&ReopenDesk::on_deadline>(this)) {}

    void await(ControlCaller caller);
    // Answers all when there are no laggards any more.
    void look();
    void close_all(const std::string& reason) { answer_all(false, reason); }

  private:
    struct Waiting {
        ControlCaller caller;
        std::int64_t end_ms = 0;  // of EventLoop::now_ms
    };
    void on_deadline();
    void answer_late(const std::string& text);
    void answer_all(bool ok, const std::string& text);

    EventLoop& loop_;
    ControlServer& server_;
    Laggards laggards_;
    std::deque<Waiting> waiting_;  // in the order of their deadlines
    Timer timer_;                  // the first one's
};

}  // namespace drover
