#include "worker/datagram/datagram_output.h"

#include "core/net/listener.h"
#include "tests/support/udp_client.h"
#include "tests/worker/datagram/full_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

unsigned room_left = std::numeric_limits<unsigned>::max();
int error_when_full = EAGAIN;
std::optional<in6_pktinfo> last_source;  // of the first message of a call

void note_source(const msghdr& message) {
    const cmsghdr* const control = CMSG_FIRSTHDR(&message);
    if (control == nullptr || control->cmsg_level != IPPROTO_IPV6) return last_source.reset();
    std::memcpy(&last_source.emplace(), CMSG_DATA(control), sizeof(in6_pktinfo));
}

struct Exchange {
    Listener server = Listener::bind(Address::parse("udp:127.0.0.1:0"), {}, 1);
    UdpClient client{server.address()};
    DatagramOutput output;

    DatagramPath path() const {
        DatagramPath path;
        const Address peer = client.address();
        std::memcpy(&path.peer, peer.data(), peer.size());
        path.peer_size = peer.size();
        return path;
    }
    DatagramOutput::Result send() { return output.send(server.socket_for(0)); }
};

}  // namespace

// In place of libc's.
extern "C" int sendmmsg(int socket, mmsghdr* messages, unsigned count, int flags) {
    note_source(messages[0].msg_hdr);
    if (room_left == 0) {
        errno = error_when_full;
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

RefusingSocket::RefusingSocket() {
    room_left = 0;
    error_when_full = EPERM;
}
RefusingSocket::~RefusingSocket() {
    room_left = std::numeric_limits<unsigned>::max();
    error_when_full = EAGAIN;
}

}  // namespace drover::test

TEST_CASE("output: replies leave in their order, an empty one too, more than a batch of them") {
    Exchange pair;
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
    Exchange pair;
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

TEST_CASE("output: those that have left make room while the others wait") {
    Exchange pair;
    const std::size_t sent = DatagramOutput::max_replies - 6;
    for (std::size_t i = 0; i < DatagramOutput::max_replies; ++i)
        REQUIRE(pair.output.add(pair.path(), std::to_string(i)));
    {
        const FullSocket full(static_cast<unsigned>(sent));
        CHECK(pair.send().waits);
    }
    CHECK(pair.output.size() == 6);
    for (std::size_t i = 0; i < sent; ++i) {
        REQUIRE(pair.client.receive() == std::to_string(i));
        REQUIRE(pair.output.add(pair.path(), std::to_string(DatagramOutput::max_replies + i)));
    }
    CHECK_FALSE(pair.output.add(pair.path(), "there is no room any more"));
    CHECK(pair.send().sent == DatagramOutput::max_replies);
    for (std::size_t i = sent; i < DatagramOutput::max_replies + sent; ++i)
        REQUIRE(pair.client.receive() == std::to_string(i));
}

TEST_CASE("output: the bytes of those that have left, too") {
    Exchange pair;
    const auto text = [](char letter) { return std::string(60'000, letter); };
    for (const char letter : {'a', 'b', 'c', 'd'})
        REQUIRE(pair.output.add(pair.path(), text(letter)));
    {
        const FullSocket full(3);
        CHECK(pair.send().waits);
    }
    for (const char letter : {'a', 'b', 'c'})
        CHECK(pair.client.receive() == text(letter));
    for (const char letter : {'e', 'f', 'g'})
        REQUIRE(pair.output.add(pair.path(), text(letter)));
    CHECK_FALSE(pair.output.add(pair.path(), text('h')));
    CHECK(pair.send().sent == 4);
    // The client's buffer has no room for the fourth.
    for (const char letter : {'d', 'e', 'f'})
        CHECK(pair.client.receive() == text(letter));
}

TEST_CASE("output: a reply from a link-local address names its interface, whatever the client's address") {
    Exchange pair;
    DatagramPath path;
    path.peer.inet = {.sin6_family = AF_INET6,
                      .sin6_port = htons(9),
                      .sin6_flowinfo = 0,
                      .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                      .sin6_scope_id = 0};
    path.peer_size = sizeof path.peer.inet;
    path.local = {{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}};
    path.interface = 5;
    REQUIRE(pair.output.add(path, "?"));
    pair.send();
    REQUIRE(last_source.has_value());
    CHECK(last_source->ipi6_ifindex == 5);
    CHECK(IN6_ARE_ADDR_EQUAL(&last_source->ipi6_addr, &path.local));
}

TEST_CASE("output: and up to the limit of bytes") {
    Exchange pair;
    const std::string large(60'000, 'x');
    std::size_t kept = 0;
    while (pair.output.add(pair.path(), large))
        ++kept;
    CHECK(kept == DatagramOutput::max_bytes / large.size());
    CHECK(pair.output.add(pair.path(), "a small one still fits"));
    CHECK(pair.send().sent == kept + 1);
}

TEST_CASE("output: a reply that the kernel refuses goes alone") {
    Exchange pair;
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
