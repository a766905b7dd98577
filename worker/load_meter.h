// LoadMeter measures what a worker reports of itself: the event loop's lag, CPU time, resident memory. The
// lag is how late a timer of probe_interval fires, so it shows a callback that kept the loop from others.
// Runs in: worker.
#pragma once

#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"

#include <chrono>
#include <cstdint>

namespace drover {

class LoadMeter {
  public:
    static constexpr std::chrono::milliseconds probe_interval{250};

    explicit LoadMeter(EventLoop& loop);

    // The largest lag since the last call, microseconds.
    std::uint64_t take_largest_lag_us() noexcept;
    // User and system time of this process, microseconds.
    static std::uint64_t cpu_us() noexcept;
    // Descriptors that are open; 0 when /proc is not there.
    static std::uint64_t open_descriptors() noexcept;
    // Resident set, bytes (/proc/self/statm, proc(5)); 0 when /proc is not there.
    std::uint64_t resident_bytes() const noexcept;

  private:
    void on_probe();

    Timer probe_;
    UniqueFd statm_;
    std::int64_t expected_us_;
    std::uint64_t largest_lag_us_ = 0;
};

}  // namespace drover
