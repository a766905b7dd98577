#include "worker/module/blocking_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <signal.h>

namespace drover {

struct BlockingPool::State {
    struct Job {
        std::uint64_t number = 0;
        Work work;
    };

    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Job> jobs;
    BlockingPool* pool = nullptr;  // null: it is gone

    void serve();
    void report(std::uint64_t job, const std::exception_ptr& failure);
};

// Until the pool is gone.
void BlockingPool::State::serve() {
    std::unique_lock lock(mutex);
    while (true) {
        wake.wait(lock, [this] { return pool == nullptr || !jobs.empty(); });
        if (pool == nullptr) return;
        Job job = std::move(jobs.front());
        jobs.pop_front();
        lock.unlock();
        std::exception_ptr failure;
        try {
            job.work();
        } catch (...) {
            failure = std::current_exception();
        }
        job.work = nullptr;  // what it holds goes on this thread
        lock.lock();
        if (pool == nullptr) return;
        report(job.number, failure);
    }
}

// With the lock held: the pool cannot go meanwhile.
void BlockingPool::State::report(std::uint64_t job, const std::exception_ptr& failure) {
    pool->mailbox_.post([owner = pool, job, failure] { owner->finish(job, failure); });
}

BlockingPool::BlockingPool(Mailbox& mailbox, const Limits& limits, const Counters& counters,
                           IdleHandler on_idle)
    : mailbox_(mailbox),
      limits_(limits),
      counters_(counters),
      on_idle_(on_idle),
      state_(std::make_shared<State>()) {
    state_->pool = this;
}

BlockingPool::~BlockingPool() {
    const std::lock_guard lock(state_->mutex);
    state_->pool = nullptr;
    state_->jobs.clear();
    state_->wake.notify_all();
}

bool BlockingPool::run(Work work, Done done) {
    if (under_way() >= limits_.jobs) {
        counters_.refused.add();
        return false;
    }
    if (threads_ < limits_.threads && under_way() >= threads_) start_thread();
    ends_.emplace(++last_job_, std::move(done));
    {
        const std::lock_guard lock(state_->mutex);
        state_->jobs.push_back({last_job_, std::move(work)});
    }
    counters_.under_way.add(1);
    state_->wake.notify_one();
    return true;
}

// Its signals are the loop's thread's.
void BlockingPool::start_thread() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread([state = state_] { state->serve(); }).detach();
        ++threads_;
    } catch (const std::system_error&) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (threads_ == 0) throw;
        return;  // those that there are do the work
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void BlockingPool::finish(std::uint64_t job, const std::exception_ptr& failure) {
    Done done = std::move(ends_.extract(job).mapped());
    counters_.under_way.add(-1);
    counters_.done.add();
    if (done) done(failure);
    if (under_way() == 0 && on_idle_) on_idle_();
}

}  // namespace drover
