// UniqueFd owns one file descriptor and closes it. By value it takes ownership; an `int` parameter borrows.
// Special state: -1 means "none". Every descriptor in Drover is close-on-exec.
// Runs in: every process.
#pragma once

#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace drover {

class UniqueFd {
  public:
    UniqueFd() noexcept = default;
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    // Gives ownership away.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    // Closes what it holds. close(2) on Linux frees the descriptor even when it fails: it is never retried.
    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd);
        if (old >= 0) ::close(old);
    }

    // A second descriptor for the same open file description; none when the process is at its limit.
    UniqueFd duplicate() const noexcept { return UniqueFd(::fcntl(fd_, F_DUPFD_CLOEXEC, 0)); }

  private:
    int fd_ = -1;
};

}  // namespace drover
