// A sequence lock over plain words in shared memory: one writer, any number of readers that never hold it up.
//
//   writer: SequenceWrite change(sequence); store_words(...);
//   reader: for each try: s = sequence (acquire), even; load_words(...); acquire fence; sequence (relaxed) is
//   still s.
//
// A writer may die in mid-write, so that readers bound their tries (read_tries) and pause between them.
// Runs in: every process.
#pragma once

#include "core/base/check.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <poll.h>
#include <sched.h>

namespace drover {

// The sequence is odd while one of these lives.
class SequenceWrite {
  public:
    // Also takes over from a writer that died while it was odd.
    explicit SequenceWrite(std::atomic<std::uint64_t>& sequence) noexcept
        : SequenceWrite(sequence, sequence.load(std::memory_order_relaxed) | 1) {}
    // By a writer that counts for itself.
    SequenceWrite(std::atomic<std::uint64_t>& sequence, std::uint64_t odd) noexcept
        : sequence_(sequence), odd_(odd) {
        sequence_.store(odd_, std::memory_order_relaxed);
        // Whoever sees one word of what follows, and then fences, sees the odd number too.
        std::atomic_thread_fence(std::memory_order_release);
    }
    ~SequenceWrite() { sequence_.store(odd_ + 1, std::memory_order_release); }
    SequenceWrite(const SequenceWrite&) = delete;
    SequenceWrite& operator=(const SequenceWrite&) = delete;

  private:
    std::atomic<std::uint64_t>& sequence_;
    std::uint64_t odd_;
};

// A word of whatever lies in shared memory.
using SharedWord [[gnu::may_alias]] = std::uint64_t;

// Both copy word by word with relaxed atomic accesses. `size` is a multiple of 8, `shared` is aligned to 8.
inline void store_words(void* shared, const void* from, std::size_t size) noexcept {
    DROVER_CHECK(size % sizeof(SharedWord) == 0);
    auto* to = static_cast<SharedWord*>(shared);
    const auto* bytes = static_cast<const std::byte*>(from);
    for (std::size_t i = 0; i < size / sizeof(SharedWord); ++i) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + i * sizeof word, sizeof word);
        __atomic_store_n(to + i, word, __ATOMIC_RELAXED);
    }
}

inline void load_words(void* to, const void* shared, std::size_t size) noexcept {
    DROVER_CHECK(size % sizeof(SharedWord) == 0);
    const auto* from = static_cast<const SharedWord*>(shared);
    auto* bytes = static_cast<std::byte*>(to);
    for (std::size_t i = 0; i < size / sizeof(SharedWord); ++i) {
        const std::uint64_t word = __atomic_load_n(from + i, __ATOMIC_RELAXED);
        std::memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
}

inline constexpr unsigned read_tries = 1100;
inline constexpr unsigned first_long_pause = 1000;

// Between two tries: a writer that was descheduled in mid-write needs the processor more than we do, and one
// that writes without a pause must not meet us in step for ever. One that died costs its readers some 100 ms
// before they say so.
inline void pause_before_retry(unsigned tries_made) noexcept {
    constexpr int shortest_wait_ms = 1;
    if (tries_made > first_long_pause)
        ::poll(nullptr, 0, shortest_wait_ms);
    else if (tries_made > 64)
        ::sched_yield();
}

}  // namespace drover
