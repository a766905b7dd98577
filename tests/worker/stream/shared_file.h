// A file that a connection can send. Runs in: tests.
#pragma once

#include "core/base/system_error.h"
#include "worker/stream/connection_output.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace drover::test {

inline SharedFd make_file(const std::string& contents) {
    UniqueFd file(check_call(::memfd_create("file", MFD_CLOEXEC), "memfd_create"));
    REQUIRE(::write(file.get(), contents.data(), contents.size()) == static_cast<ssize_t>(contents.size()));
    return std::make_shared<const UniqueFd>(std::move(file));
}

}  // namespace drover::test
