// Says that a test cannot do its work here; `./dev test` lists these lines at its end. The test returns then,
// and counts as passed. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"

#include <cstdio>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace drover::test {

// True, with a line, unless what the test `needs` is there. Also for children of a test.
inline bool lacks(bool is_there, const std::string& needs) {
    if (is_there) return false;
    const doctest::TestCaseData* const test = doctest::getContextOptions()->currentTest;
    std::printf("skipped: needs %s: %s\n", needs.c_str(), test != nullptr ? test->m_name : "");
    std::fflush(stdout);
    return true;
}

inline bool lacks_root() {
    return lacks(::geteuid() == 0, "root");
}

inline bool has_ipv6() {
    const UniqueFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 loopback{};
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr = in6addr_loopback;
    const auto* const address = reinterpret_cast<const sockaddr*>(&loopback);
    return probe && ::bind(probe.get(), address, sizeof loopback) == 0;
}

inline bool lacks_ipv6() {
    return lacks(has_ipv6(), "IPv6");
}

inline bool lacks_program(const std::string& program) {
    bool is_there = false;
    for (const char* folder : {"/usr/bin/", "/usr/local/bin/", "/bin/", "/usr/sbin/"})
        is_there = is_there || std::filesystem::exists(folder + program);
    return lacks(is_there, program);
}

}  // namespace drover::test
