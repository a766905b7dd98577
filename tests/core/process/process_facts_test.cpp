#include "core/process/process_facts.h"

#include "core/base/system_error.h"

#include <csignal>

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;

TEST_CASE("what the kernel says of a process, and of none") {
    CHECK(state_in_kernel(::getpid()) == 'R');
    CHECK(resident_bytes_of(::getpid()) > 100'000);
    const pid_t child = check_call(::fork(), "fork");
    if (child == 0) {
        ::raise(SIGSTOP);
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, WUNTRACED) == child);
    CHECK(state_in_kernel(child) == 'T');
    REQUIRE(::kill(child, SIGKILL) == 0);
    siginfo_t information{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &information, WEXITED | WNOWAIT) == 0);
    CHECK(state_in_kernel(child) == 'Z');
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(state_in_kernel(child) == '?');
    CHECK(resident_bytes_of(child) == 0);
    CHECK(wait_channel(child).empty());
}
