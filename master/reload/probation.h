// Probation counts what goes wrong with a new generation after a reload, until its time is over: with too
// many deaths of its workers it has failed. A value, without a clock: the master has the timer, and the
// generation to go back to. Runs in: the master.
#pragma once

#include <cstdint>
#include <string>

namespace drover {

class Probation {
  public:
    // `deaths` are forgiven, one more is too many.
    Probation(std::uint64_t generation, unsigned deaths) noexcept
        : generation_(generation), forgiven_(deaths) {}

    std::uint64_t generation() const noexcept { return generation_; }
    unsigned deaths() const noexcept { return deaths_; }
    bool failed() const noexcept { return deaths_ > forgiven_; }

    // A worker of `generation` died, or hangs. Of another generation it does not count.
    void count_death(std::uint64_t generation, const std::string& obituary);
    // "3 of its workers died, the last: worker main/0 (pid 7) killed by signal 11 (SIGSEGV)".
    std::string reason() const;

  private:
    std::uint64_t generation_;
    unsigned forgiven_;
    unsigned deaths_ = 0;
    std::string last_;
};

}  // namespace drover
