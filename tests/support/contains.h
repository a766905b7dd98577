// Whether something is among others. Runs in: tests.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace drover::test {

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

inline bool contains(const std::vector<pid_t>& pids, pid_t pid) {
    return std::ranges::find(pids, pid) != pids.end();
}

}  // namespace drover::test
