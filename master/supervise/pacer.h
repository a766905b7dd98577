// Pacer carries an action out when it is asked for: at once, and then at most once an interval, however often
// it is asked for. The last wish is always followed by an action. Owned by whoever asks. Runs in: master.
#pragma once

#include "core/loop/event_loop.h"

#include <chrono>

namespace drover {

class Pacer {
  public:
    Pacer(EventLoop& loop, std::chrono::milliseconds interval, Callback<void()> action);

    // May call the action before it returns.
    void ask();

  private:
    void on_time();

    std::chrono::milliseconds interval_;
    Callback<void()> action_;
    Timer timer_;
    bool asked_ = false;  // since the action was last carried out
};

}  // namespace drover
