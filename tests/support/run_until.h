// Dispatches a loop until something has happened; false when it has not within a generous deadline.
#pragma once

#include "core/loop/event_loop.h"

#include <chrono>

namespace drover::test {

template <class Predicate>
bool run_until(EventLoop& loop, Predicate done,
               std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) return false;
        loop.run_once(std::chrono::milliseconds(50));
    }
    return true;
}

}  // namespace drover::test
