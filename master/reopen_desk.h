// ReopenDesk keeps who has asked for log files to be opened again, until no worker writes to the old ones:
// who moves or compresses those next must know. Runs in: the master.
#pragma once

#include "core/event_loop.h"
#include "master/control.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace drover {

class ReopenDesk {
  public:
    // A worker that stands still takes nothing: callers hear of it then.
    static constexpr std::chrono::milliseconds patience{5000};

    using Laggards = std::function<std::vector<std::string>()>;  // workers that have not taken the files
    ReopenDesk(EventLoop& loop, Laggards laggards)
        : laggards_(std::move(laggards)), timer_(loop, Timer::Handler::to<&ReopenDesk::on_deadline>(this)) {}
    void set_server(ControlServer* server) noexcept { server_ = server; }

    void await(ControlCaller caller);
    // Answers all when there are no laggards any more.
    void look();
    void close_all(const std::string& reason);

  private:
    void on_deadline();

    Laggards laggards_;
    ControlServer* server_ = nullptr;
    std::vector<ControlCaller> callers_;
    Timer timer_;  // from the latest who asked on: the others have asked for the same
};

}  // namespace drover
