// Clients of a listener and what its calls throw, for the tests of listeners. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"
#include "core/net/address.h"

#include <optional>
#include <string>
#include <system_error>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace drover::test {

inline constexpr int deadline_ms = 5000;

// A connected client, or none with errno set. A connect that the kernel does not answer fails after the
// deadline.
inline UniqueFd connect_to(const Address& address) {
    UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval deadline{deadline_ms / 1000, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    if (::connect(fd.get(), address.data(), address.size()) != 0) return UniqueFd();
    return fd;
}

inline int option_of(int fd, int level, int option) {
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(fd, level, option, &value, &size) == 0);
    return value;
}

inline UniqueFd accept_from(int fd) {
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, deadline_ms) != 1) return UniqueFd();
    return UniqueFd(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
}

template <class Call>
std::optional<std::system_error> error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return error;
    }
    return std::nullopt;
}

template <class Call>
bool fails_with(int code, const std::string& text, Call call) {
    const auto error = error_of(call);
    if (!error) return false;
    return error->code().value() == code && std::string(error->what()).starts_with(text);
}

}  // namespace drover::test
