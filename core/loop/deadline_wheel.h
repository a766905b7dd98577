// DeadlineWheel keeps a time limit for each of many objects at the cost of two pointers each: a hashed wheel
// with one tick timer for all, instead of a timer of the event loop for each. Limits are kept to one tick.
// Moving a deadline later, the common case of a busy connection, is one store: the wheel looks again when the
// old deadline comes. Owned by a worker; must outlive its entries. Runs in: worker.
#pragma once

#include "core/loop/event_loop.h"

#include <array>
#include <chrono>
#include <cstdint>

namespace drover {

// Base of what can have a deadline. Not in a wheel until set. Leaves its wheel when destroyed.
class DeadlineEntry {
  public:
    DeadlineEntry() noexcept = default;
    DeadlineEntry(const DeadlineEntry&) = delete;
    DeadlineEntry& operator=(const DeadlineEntry&) = delete;

    bool has_deadline() const noexcept { return deadline_tick_ != 0; }

  protected:
    virtual ~DeadlineEntry() { unlink(); }
    // The deadline has passed; it is no longer set. May destroy any entry, itself included.
    virtual void on_deadline() = 0;

  private:
    friend class DeadlineWheel;
    void unlink() noexcept;

    DeadlineEntry* next_ = nullptr;
    DeadlineEntry** link_ = nullptr;   // what points at us; null: in no bucket
    std::uint32_t deadline_tick_ = 0;  // 0: none
    std::uint32_t bucket_tick_ = 0;    // when the wheel looks at us next
};

class DeadlineWheel {
  public:
    static constexpr std::chrono::milliseconds tick{100};

    explicit DeadlineWheel(EventLoop& loop);

    // At least `after` from now, at most a tick more.
    void set(DeadlineEntry& entry, std::chrono::milliseconds after) noexcept;
    // The entry stays in its bucket until the wheel comes by, so that setting it again costs nothing.
    void clear(DeadlineEntry& entry) noexcept { entry.deadline_tick_ = 0; }

    // What is left of an entry's time; 0 when it has no deadline.
    std::chrono::milliseconds remaining(const DeadlineEntry& entry) const noexcept;

    // Time that has passed here, in ticks: it stands still with the wheel, while the loop was kept for long
    // and while there is no entry.
    std::chrono::milliseconds time() const noexcept { return tick * now_tick_; }

    // For tests: as if `ticks` ticks had passed.
    void advance(std::uint32_t ticks);

  private:
    static constexpr std::uint32_t bucket_count = 1024;

    void on_tick();
    std::uint32_t ticks_passed(std::int64_t now) noexcept;
    void turn(std::uint32_t ticks);
    void link(DeadlineEntry& entry, std::uint32_t bucket_tick) noexcept;
    void expire_bucket();

    EventLoop& loop_;
    Timer timer_;
    std::int64_t started_ms_;     // when tick 0 was
    std::uint32_t now_tick_ = 0;  // the last one that has been dealt with
    std::array<DeadlineEntry*, bucket_count> buckets_{};
};

}  // namespace drover
