// How many descriptors this process has open: equal before and after means that nothing leaked.
#pragma once

#include <cstddef>
#include <memory>

#include <dirent.h>

namespace drover::test {

inline std::size_t count_open_fds() {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), ::closedir);
    std::size_t count = 0;
    while (::readdir(directory.get()) != nullptr)
        ++count;
    return count - 3;  // ".", ".." and the directory's own
}

}  // namespace drover::test
