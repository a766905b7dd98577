// Rates turns one sample after the other into figures a second, and remembers the last minute of them.
// Runs in: the command line.
#pragma once

#include "master/cli/top/sample.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace drover::top {

// Over the time between the last two samples.
struct Pace {
    std::optional<double> requests;  // a second; none: nothing counts them, or there is one sample yet
    std::optional<double> accepted;
    std::optional<double> bytes_in;
    std::optional<double> bytes_out;
    std::optional<double> p50;  // seconds; none: no request ended
    std::optional<double> p99;
};

struct WorkerView {
    WorkerSample now;
    Pace pace = {};
    std::vector<double> history = {};  // requests a second, or connections accepted; the newest last
};

struct View {
    std::int64_t time_ms = 0;
    MasterStatus master;
    std::vector<WorkerView> workers;
    std::int64_t connections = 0;
    double busy = 0;  // processors
    std::uint64_t resident_bytes = 0;
    bool counts_requests = false;
    Pace pace;
    std::vector<double> history;
};

class Rates {
  public:
    static constexpr std::size_t history_length = 60;

    const View& add(Sample sample);
    const View& view() const noexcept { return view_; }

  private:
    Sample last_;
    View view_;
};

}  // namespace drover::top
