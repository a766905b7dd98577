// HttpLoad asks without a pause, on threads of its own, until it is stopped: one request a connection, so
// that every connect that succeeds must be answered, whatever the server goes through meanwhile. Runs in:
// tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace drover::test {

class HttpLoad {
  public:
    explicit HttpLoad(std::uint16_t port, unsigned threads = 2);
    ~HttpLoad();
    HttpLoad(const HttpLoad&) = delete;
    HttpLoad& operator=(const HttpLoad&) = delete;

    void stop();
    std::uint64_t replies() const { return replies_; }
    std::uint64_t failures() const { return failures_; }
    std::string first_failure() const;

  private:
    void ask(std::uint16_t port);

    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> replies_ = 0;
    std::atomic<std::uint64_t> failures_ = 0;
    mutable std::mutex mutex_;  // of first_failure_
    std::string first_failure_;
    std::vector<std::thread> threads_;
};

}  // namespace drover::test
