#include "worker/blocking_pool.h"

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
        Work work;
        Done done;
    };

    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Job> jobs;
    BlockingPool* pool = nullptr;  // null: it is gone

    void serve();
    void report(Done done, std::exception_ptr failure);
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
        report(std::move(job.done), failure);
    }
}

// With the lock held: the pool cannot go meanwhile.
void BlockingPool::State::report(Done done, std::exception_ptr failure) {
    pool->mailbox_.post([owner = pool, done = std::move(done), failure] { owner->finish(done, failure); });
}

BlockingPool::BlockingPool(Mailbox& mailbox, unsigned threads, IdleHandler on_idle)
    : mailbox_(mailbox), most_threads_(threads), on_idle_(on_idle), state_(std::make_shared<State>()) {
    state_->pool = this;
}

BlockingPool::~BlockingPool() {
    const std::lock_guard lock(state_->mutex);
    state_->pool = nullptr;
    state_->jobs.clear();
    state_->wake.notify_all();
}

void BlockingPool::run(Work work, Done done) {
    if (threads_ < most_threads_ && under_way_ >= threads_) start_thread();
    {
        const std::lock_guard lock(state_->mutex);
        state_->jobs.push_back({std::move(work), std::move(done)});
    }
    ++under_way_;
    state_->wake.notify_one();
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

void BlockingPool::finish(const Done& done, const std::exception_ptr& failure) {
    --under_way_;
    if (done) done(failure);
    if (under_way_ == 0 && on_idle_) on_idle_();
}

}  // namespace drover
