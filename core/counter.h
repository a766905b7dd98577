// Counter and Gauge are what a module holds: one cell of its worker's own row, which no one else writes. Adding is a
// relaxed load and a relaxed store. Only the worker's event-loop thread may count; debug builds assert it.
// Special state: default-constructed ones count into a cell of their own that nobody reads.
// Runs in: worker.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <string>

namespace drover {

enum class CounterKind : std::uint8_t { counter = 1, gauge = 2 };

// How a module or core declares one. Names follow Prometheus: [a-zA-Z_][a-zA-Z0-9_]*, counters end in _total.
struct CounterDeclaration {
    std::string name;  // at most 95 bytes
    CounterKind kind = CounterKind::counter;
    std::string unit;  // "bytes", "requests", ...; at most 15 bytes
    std::string help;  // one line, at most 143 bytes

    friend bool operator==(const CounterDeclaration&, const CounterDeclaration&) = default;
};

namespace detail {
// True on the thread that may count; set by CounterRow when it maps the worker's row.
extern thread_local bool counting_thread;
extern thread_local std::uint64_t unread_cell;
}  // namespace detail

class Counter {
  public:
    Counter() noexcept = default;
    explicit Counter(std::uint64_t* cell) noexcept : cell_(cell) {}

    void add(std::uint64_t amount = 1) noexcept {
        assert(cell_ == nullptr || detail::counting_thread);
        std::atomic_ref<std::uint64_t> cell(cell_ != nullptr ? *cell_ : detail::unread_cell);
        cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    std::uint64_t value() const noexcept {
        return cell_ == nullptr ? 0 : std::atomic_ref(*cell_).load(std::memory_order_relaxed);
    }

  private:
    std::uint64_t* cell_ = nullptr;
};

// The same cell read as a signed number; vanishes with its worker.
class Gauge {
  public:
    Gauge() noexcept = default;
    explicit Gauge(std::uint64_t* cell) noexcept : counter_(cell), cell_(cell) {}

    void add(std::int64_t amount) noexcept { counter_.add(static_cast<std::uint64_t>(amount)); }
    void set(std::int64_t value) noexcept {
        assert(cell_ == nullptr || detail::counting_thread);
        std::atomic_ref<std::uint64_t> cell(cell_ != nullptr ? *cell_ : detail::unread_cell);
        cell.store(static_cast<std::uint64_t>(value), std::memory_order_relaxed);
    }
    std::int64_t value() const noexcept { return static_cast<std::int64_t>(counter_.value()); }

  private:
    Counter counter_;
    std::uint64_t* cell_ = nullptr;
};

}  // namespace drover
