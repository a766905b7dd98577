// BlockingPool runs what would block the event loop (a slow file system, a database driver, a long
// computation) on a few threads of the worker, and tells the loop when it is done. Threads start with the
// first work. Owned by the worker; a drain waits for what is under way, within drain_timeout. Runs in:
// worker.
#pragma once

#include "core/callback.h"
#include "core/mailbox.h"

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>

namespace drover {

class BlockingPool {
  public:
    // On a thread of the pool. It must not touch connections, services or anything else of the loop's.
    using Work = std::function<void()>;
    // On the loop's thread; `failure` is what the work threw, or null. Who asked may be gone by then: keep
    // what it needs alive, or look first.
    using Done = std::function<void(std::exception_ptr failure)>;
    // All work that was under way is done.
    using IdleHandler = Callback<void()>;

    BlockingPool(Mailbox& mailbox, unsigned threads, IdleHandler on_idle = {});
    // Work that has not begun is dropped, what runs goes on without anybody who hears of its end.
    ~BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    // On the loop's thread. Throws std::system_error when no thread can be started at all.
    void run(Work work, Done done);
    // Work whose `done` has not been called yet.
    std::size_t under_way() const noexcept { return under_way_; }

  private:
    struct State;  // shared with the threads

    void start_thread();
    void finish(const Done& done, const std::exception_ptr& failure);

    Mailbox& mailbox_;
    unsigned most_threads_;
    unsigned threads_ = 0;
    std::size_t under_way_ = 0;
    IdleHandler on_idle_;
    std::shared_ptr<State> state_;
};

}  // namespace drover
