// Mailbox brings work from other threads into an event loop: whatever is posted runs there, in order. Owned
// by whoever owns the loop; it must outlive the threads that post, or they must be kept from it. Runs in:
// worker.
#pragma once

#include "core/base/task.h"
#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"

#include <mutex>
#include <vector>

namespace drover {

class Mailbox {
  public:
    using Work = Task<void()>;

    // On the loop's thread. Throws std::system_error.
    explicit Mailbox(EventLoop& loop);
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    // On any thread. What `work` throws comes out of the loop's run().
    void post(Work work);

  private:
    void on_ready(Readiness readiness);

    UniqueFd event_;  // eventfd(2)
    FdWatch watch_;
    std::mutex mutex_;
    std::vector<Work> posted_;
};

}  // namespace drover
