// FileRange is a part of a regular file that a connection sends. Runs in: worker.
#pragma once

#include "core/base/unique_fd.h"

#include <cstdint>
#include <memory>

namespace drover {

// A file that several connections may be sending at once.
using SharedFd = std::shared_ptr<const UniqueFd>;

// The file must have it: a file that is shorter when it is sent ends the connection.
struct FileRange {
    SharedFd file;
    std::uint64_t offset = 0;  // bytes
    std::uint64_t length = 0;
};

}  // namespace drover
