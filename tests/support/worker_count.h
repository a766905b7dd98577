// WorkerCount is the most workers that a server has at any time while it looks. Runs in: tests.
#pragma once

#include "tests/support/proc.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>

#include <poll.h>

namespace drover::test {

class WorkerCount {
  public:
    explicit WorkerCount(pid_t master) : thread_([this, master] { look(master); }) {}
    ~WorkerCount() { stop(); }
    WorkerCount(const WorkerCount&) = delete;
    WorkerCount& operator=(const WorkerCount&) = delete;

    std::size_t stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
        return most_;
    }

  private:
    static constexpr int interval_ms = 1;

    void look(pid_t master) {
        while (!stopping_) {
            most_ = std::max(most_, workers_of(master).size());
            ::poll(nullptr, 0, interval_ms);
        }
    }

    std::atomic<bool> stopping_ = false;
    std::size_t most_ = 0;
    std::thread thread_;
};

}  // namespace drover::test
