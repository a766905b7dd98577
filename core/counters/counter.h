// Counter and Gauge are what a module holds: one cell of its worker's own row, which no one else writes
// (core/counters/histogram.h: Histogram, which has several).
// Adding is a relaxed load and a relaxed store. Only the worker's event-loop thread may count; debug builds
// assert it. Special state: default-constructed ones count, on any thread, into a cell that nobody reads.
// Runs in: worker.
#pragma once

#include "core/counters/counter_declaration.h"

#include <atomic>
#include <cassert>
#include <cstdint>

namespace drover {

namespace detail {
// True on the thread that may count; set by CounterRow when it maps the worker's row. constinit spares each
// use the call that would initialise it.
extern constinit thread_local bool counting_thread;
// Where default-constructed ones count, so that a count needs no branch; two for a histogram of one bucket.
// Only ever accessed atomically.
extern std::uint64_t unread_cells[2];

inline bool is_unread(const std::uint64_t* cell) noexcept {
    return cell == &unread_cells[0] || cell == &unread_cells[1];
}
inline std::atomic_ref<std::uint64_t> counted(std::uint64_t* cell) noexcept {
    assert(is_unread(cell) || counting_thread);
    return std::atomic_ref(*cell);
}
inline std::uint64_t read(std::uint64_t* cell) noexcept {
    return is_unread(cell) ? 0 : std::atomic_ref(*cell).load(std::memory_order_relaxed);
}
}  // namespace detail

class Counter {
  public:
    Counter() noexcept = default;
    explicit Counter(std::uint64_t* cell) noexcept : cell_(cell) {}  // not null

    void add(std::uint64_t amount = 1) noexcept {
        const auto cell = detail::counted(cell_);
        cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    std::uint64_t value() const noexcept { return detail::read(cell_); }

  private:
    std::uint64_t* cell_ = detail::unread_cells;
};

// The same cell read as a signed number; vanishes with its worker.
class Gauge {
  public:
    Gauge() noexcept = default;
    explicit Gauge(std::uint64_t* cell) noexcept : cell_(cell) {}  // not null

    void add(std::int64_t amount) noexcept {
        const auto cell = detail::counted(cell_);
        cell.store(cell.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(amount),
                   std::memory_order_relaxed);
    }
    void set(std::int64_t value) noexcept {
        detail::counted(cell_).store(static_cast<std::uint64_t>(value), std::memory_order_relaxed);
    }
    std::int64_t value() const noexcept { return static_cast<std::int64_t>(detail::read(cell_)); }

  private:
    std::uint64_t* cell_ = detail::unread_cells;
};

}  // namespace drover
