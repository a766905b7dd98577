#include "core/net/unix_queue.h"

#include "core/base/system_error.h"
#include "core/base/unique_fd.h"

#include <vector>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace drover;

TEST_CASE("the kernel tells how many connections wait on a unix listener") {
    const UniqueFd listener(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    check_call(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name.sun_family),
               "bind");
    socklen_t size = sizeof name;
    auto* const address = reinterpret_cast<sockaddr*>(&name);
    check_call(::getsockname(listener.get(), address, &size), "getsockname");
    check_call(::listen(listener.get(), 8), "listen");
    UnixQueues queues;
    CHECK(queues.length(listener.get()) == 0U);
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 3; ++i) {
        clients.emplace_back(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
        check_call(::connect(clients.back().get(), address, size), "connect");
    }
    CHECK(queues.length(listener.get()) == 3U);
    const UniqueFd accepted(check_call(::accept(listener.get(), nullptr, nullptr), "accept"));
    CHECK(queues.length(listener.get()) == 2U);
}

TEST_CASE("of what is no unix socket it tells nothing") {
    UnixQueues queues;
    CHECK_FALSE(queues.length(-1).has_value());
    CHECK_FALSE(queues.length(STDERR_FILENO).has_value());
    const UniqueFd tcp(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    CHECK_FALSE(queues.length(tcp.get()).has_value());
}
