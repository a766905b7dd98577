// Runs a part of a test in a child, where limits and users may be changed; it succeeds with 0.
#pragma once

#include "core/process/process.h"

#include <functional>

#include <doctest/doctest.h>
#include <sys/wait.h>

namespace drover::test {

inline void in_child(const std::function<int()>& part) {
    const Process child = spawn({}, part);
    int status = -1;
    REQUIRE(::waitpid(child.pid(), &status, 0) == child.pid());
    INFO("exit code ", WEXITSTATUS(status));
    CHECK(status == 0);
}

}  // namespace drover::test
