// StandstillLines says which of a worker's stops and goings-on are told: of each at most one in ten seconds,
// since a child of the worker can stop it and let it go on without end. Owned by the worker's WorkerProcess.
// Runs in: the master.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace drover {

class StandstillLines {
  public:
    static constexpr std::int64_t interval_ms = 10'000;

    // At `now_ms` (any steady clock) the worker stopped, or went on. How many changes before it were left out
    // since the last line; none: this one is left out, too.
    std::optional<unsigned> tell(bool stopped, std::int64_t now_ms) noexcept {
        std::optional<std::int64_t>& last_ms = last_ms_[stopped ? 1 : 0];
        if (last_ms && now_ms - *last_ms < interval_ms) {
            ++left_out_;
            return std::nullopt;
        }
        last_ms = now_ms;
        return std::exchange(left_out_, 0);
    }

  private:
    std::array<std::optional<std::int64_t>, 2> last_ms_;  // of a line: [1] that it stopped
    unsigned left_out_ = 0;
};

}  // namespace drover
