#include "worker/datagram_output.h"

#include "core/listener.h"
#include "tests/support/udp_client.h"
#include "tests/worker/full_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

unsigned room_left = std::numeric_limits<unsigned>::max();

struct Pair {
    Listener server = Listener::bind(Address::parse("udp:127.0.0.1:0"), {}, 1);
    UdpClient client{server.address()};
    DatagramOutput output;

    DatagramPath path() const {
        DatagramPath path;
        const Address peer = client.address();
        std::memcpy(&path.peer, peer.data(), peer.size());
        return path;
    }
    DatagramOutput::Result send() { return output.send(server.socket_for(0)); }
};

}  // namespace

// In place of libc's.
extern "C" int sendmmsg(int socket, mmsghdr* messages, unsigned count, int flags) {
    if (room_left == 0) {
        errno = EAGAIN;
        return -1;
    }
    const unsigned taken = std::min(count, room_left);
    const auto sent = static_cast<int>(::syscall(SYS_sendmmsg, socket, messages, taken, flags));
    if (sent > 0 && room_left != std::numeric_limits<unsigned>::max())
        room_left -= static_cast<unsigned>(sent);
    return sent;
}

namespace drover::test {

FullSocket::FullSocket(unsigned room) {
    room_left = room;
}
FullSocket::~FullSocket() {
    room_left = std::numeric_limits<unsigned>::max();
}

}  // namespace drover::test

TEST_CASE("output: replies leave in their order, an empty one too, more than a batch of them") {
    Pair pair;
    CHECK(pair.output.empty());
    for (int i = 0; i < 100; ++i)
        REQUIRE(pair.output.add(pair.path(), i == 50 ? "" : std::to_string(i)));
    CHECK_FALSE(pair.output.empty());
    const DatagramOutput::Result result = pair.send();
    CHECK(result.sent == 100);
    CHECK(result.sent_bytes == 10 + 2 * 90 - 2);
    CHECK(result.refused == 0);
    CHECK_FALSE(result.waits);
    CHECK(pair.output.empty());
    for (int i = 0; i < 100; ++i)
        CHECK(pair.client.receive() == (i == 50 ? "" : std::to_string(i)));
}

TEST_CASE("output: what a full socket does not take is kept, up to the limit of replies") {
    Pair pair;
    for (std::size_t i = 0; i < DatagramOutput::max_replies; ++i)
        REQUIRE(pair.output.add(pair.path(), "x"));
    CHECK_FALSE(pair.output.add(pair.path(), "x"));
    {
        const FullSocket full(40);
        const DatagramOutput::Result result = pair.send();
        CHECK(result.sent == 40);
        CHECK(result.waits);
        CHECK_FALSE(pair.output.empty());
    }
    const DatagramOutput::Result result = pair.send();
    CHECK(result.sent == DatagramOutput::max_replies - 40);
    CHECK_FALSE(result.waits);
    CHECK(pair.output.add(pair.path(), "there is room again"));
}

TEST_CASE("output: and up to the limit of bytes") {
    Pair pair;
    const std::string large(60'000, 'x');
    std::size_t kept = 0;
    while (pair.output.add(pair.path(), large))
        ++kept;
    CHECK(kept == DatagramOutput::max_bytes / large.size());
    CHECK(pair.output.add(pair.path(), "a small one still fits"));
    CHECK(pair.send().sent == kept + 1);
}

TEST_CASE("output: a reply that the kernel refuses goes alone") {
    Pair pair;
    DatagramPath forbidden = pair.path();
    reinterpret_cast<sockaddr_in&>(forbidden.peer).sin_addr.s_addr = htonl(INADDR_BROADCAST);  // EACCES
    REQUIRE(pair.output.add(pair.path(), "one"));
    REQUIRE(pair.output.add(pair.path(), std::string(65'535, 'x')));  // EMSGSIZE
    REQUIRE(pair.output.add(forbidden, "nobody"));
    REQUIRE(pair.output.add(pair.path(), "two"));
    const DatagramOutput::Result result = pair.send();
    CHECK(result.sent == 2);
    CHECK(result.sent_bytes == 6);
    CHECK(result.refused == 2);
    CHECK(pair.client.receive() == "one");
    CHECK(pair.client.receive() == "two");
}
