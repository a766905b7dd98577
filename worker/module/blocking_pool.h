// BlockingPool runs what would block the event loop (a slow file system, a database driver, a long
// computation) on a few threads of the worker, and tells the loop when it is done. Threads start with the
// first work. Owned by the worker; a drain waits for what is under way, within drain_timeout. Runs in:
// worker.
#pragma once

#include "core/base/callback.h"
#include "core/base/task.h"
#include "core/counters/counter.h"
#include "core/loop/mailbox.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>

namespace drover {

class BlockingPool {
  public:
    // On a thread of the pool. It must not touch connections, services or anything else of the loop's.
    using Work = Task<void()>;
    // On the loop's thread, where it is also destroyed; `failure` is what the work threw, or null. The object
    // that asked may be gone by then: keep it alive, or check first.
    using Done = Task<void(std::exception_ptr failure)>;
    // All work that was under way is done.
    using IdleHandler = Callback<void()>;

    struct Limits {
        unsigned threads = 1;
        std::size_t jobs = 1024;  // that run or wait
    };
    struct Counters {
        Counter done;
        Counter refused;
        Gauge under_way;
    };

    BlockingPool(Mailbox& mailbox, const Limits& limits, const Counters& counters = {},
                 IdleHandler on_idle = {});
    // Work that has not begun is dropped, what runs goes on without anybody who hears of its end.
    ~BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    // On the loop's thread. False: so many jobs run or wait already that this one is refused, and neither is
    // called. Both may hold what can only be moved; `done` may be empty. Throws std::system_error when no
    // thread can be started at all.
    [[nodiscard]] bool run(Work work, Done done);
    // Work whose `done` has not been called yet.
    std::size_t under_way() const noexcept { return ends_.size(); }

  private:
    struct State;  // shared with the threads

    void start_thread();
    void finish(std::uint64_t job, const std::exception_ptr& failure);

    Mailbox& mailbox_;
    const Limits limits_;
    Counters counters_;
    unsigned threads_ = 0;
    std::uint64_t last_job_ = 0;
    std::map<std::uint64_t, Done> ends_;  // of what is under way: none leaves the loop's thread
    IdleHandler on_idle_;
    std::shared_ptr<State> state_;
};

}  // namespace drover
