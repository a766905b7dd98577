// Repeater does one thing again and again on a thread of its own until it is told to stop, or it fails.
// Runs in: tests.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <string>
#include <thread>

namespace drover::test {

class Repeater {
  public:
    // Given the number of times that it was done; made on the thread.
    using Step = std::function<void(int)>;

    explicit Repeater(std::function<Step()> begin)
        : thread_([this, begin = std::move(begin)] { run(begin); }) {}
    ~Repeater() { stop(); }
    Repeater(const Repeater&) = delete;
    Repeater& operator=(const Repeater&) = delete;

    int times() const { return times_; }
    // Why it failed; empty when it has not.
    std::string stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
        return failure_;
    }

  private:
    void run(const std::function<Step()>& begin) {
        try {
            for (const Step step = begin(); !stopping_; ++times_)
                step(times_);
        } catch (const std::exception& error) {
            failure_ = error.what();
        }
    }

    std::atomic<bool> stopping_ = false;
    std::atomic<int> times_ = 0;
    std::string failure_;
    std::thread thread_;
};

}  // namespace drover::test
