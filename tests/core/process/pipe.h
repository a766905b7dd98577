// Both ends of a pipe. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"

#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

namespace drover::test {

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;
    Pipe() {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        read_end.reset(ends[0]);
        write_end.reset(ends[1]);
    }
    std::string read_all() {
        write_end.reset();
        std::string text;
        char buffer[512];
        for (ssize_t n = 0; (n = ::read(read_end.get(), buffer, sizeof(buffer))) > 0;) {
            text.append(buffer, static_cast<std::size_t>(n));
        }
        return text;
    }
};

}  // namespace drover::test
