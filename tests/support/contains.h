// Whether something is among others. Runs in: tests.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace drover::test {

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

inline std::size_t occurrences(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
        ++count;
    return count;
}

inline bool contains(const std::vector<pid_t>& pids, pid_t pid) {
    return std::ranges::find(pids, pid) != pids.end();
}

}  // namespace drover::test
