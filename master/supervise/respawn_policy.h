// RespawnPolicy says how long to wait before a dead worker's slot is filled again: not at all, as long as
// early deaths are few; else a delay that doubles with each further one, up to a bound, with jitter so that
// slots do not come back together. A value, without a clock. Runs in: the master, one per slot.
#pragma once

#include <chrono>
#include <deque>

namespace drover {

class RespawnPolicy {
  public:
    using milliseconds = std::chrono::milliseconds;

    struct Rule {
        unsigned burst = 5;  // early deaths a minute that are replaced at once
        milliseconds first_delay{100};
        milliseconds longest_delay{30'000};
    };
    static constexpr milliseconds early{
        1000};  // a death within this time of Ready, or before it, is an early one
    static constexpr milliseconds window{60'000};
    static constexpr milliseconds healthy{60'000};  // a worker that served this long ends the back-off

    explicit RespawnPolicy(Rule rule) noexcept : rule_(rule) {}

    void set_rule(Rule rule) noexcept { rule_ = rule; }

    // At `now` (any steady clock) a worker died that had been ready for `served`. `jitter` is in [0, 1): up
    // to a quarter less.
    milliseconds delay_after_death(milliseconds now, milliseconds served, double jitter);

    // No worker could be started: the machine lacks something that it has again soon, and a try costs little.
    static constexpr milliseconds shortest_shortage{10};
    static constexpr milliseconds longest_shortage{1000};
    milliseconds delay_after_shortage() noexcept;
    unsigned shortages() const noexcept { return shortages_; }  // in a row
    void end_shortage() noexcept { shortages_ = 0; }

  private:
    Rule rule_;
    std::deque<milliseconds> deaths_;  // early ones, in the window
    unsigned doublings_ = 0;
    unsigned shortages_ = 0;
};

}  // namespace drover
