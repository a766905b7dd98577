#include "core/protocol/packet.h"

#include "core/protocol/channel.h"
#include "tests/support/in_child.h"
#include "tests/support/open_fds.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

using namespace drover;
using drover::test::count_open_fds;
using drover::test::in_child;

namespace {

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}
std::string_view text(std::span<const std::byte> part) {
    return {reinterpret_cast<const char*>(part.data()), part.size()};
}

struct Sockets {
    std::pair<UniqueFd, UniqueFd> ends = Channel::make_pair();
    int here = ends.first.get();
    int there = ends.second.get();
    std::array<std::byte, 64> buffer{};

    PacketSent send(std::string_view head, std::string_view body, std::span<const int> fds = {}) const {
        return send_packet(here, bytes(head), bytes(body), fds);
    }
    ReceivedPacket receive() { return receive_packet(there, buffer); }
};

}  // namespace

TEST_CASE("packet: both ends of a pair are close-on-exec") {
    const Sockets sockets;
    CHECK((::fcntl(sockets.here, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(sockets.there, F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("packet: boundaries are kept and nothing waits") {
    Sockets sockets;
    CHECK(sockets.receive().result == PacketReceived::would_block);
    CHECK(sockets.send("head", "body") == PacketSent::sent);
    CHECK(sockets.send("second", "") == PacketSent::sent);
    const ReceivedPacket first = sockets.receive();
    CHECK(first.result == PacketReceived::received);
    CHECK(text(std::span(sockets.buffer).first(first.size)) == "headbody");
    CHECK(sockets.receive().size == 6);
    CHECK(sockets.receive().result == PacketReceived::would_block);
}

TEST_CASE("packet: 252 descriptors arrive, each close-on-exec, none leaks") {
    const std::size_t before = count_open_fds();
    {
        Sockets sockets;
        std::vector<UniqueFd> originals;
        std::vector<int> numbers;
        for (int i = 0; i < 252; ++i) {
            originals.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            numbers.push_back(originals.back().get());
        }
        REQUIRE(sockets.send("x", "", numbers) == PacketSent::sent);
        const ReceivedPacket packet = sockets.receive();
        CHECK(packet.result == PacketReceived::received);
        REQUIRE(packet.fds.size() == 252);
        CHECK(std::ranges::all_of(packet.fds, [](const UniqueFd& fd) {
            const int flags = ::fcntl(fd.get(), F_GETFD);
            return flags >= 0 && (flags & FD_CLOEXEC) != 0;
        }));
    }
    CHECK(count_open_fds() == before);
}

TEST_CASE("packet: an empty message looks like the end, its descriptors are closed") {
    Sockets sockets;
    const int fds[] = {STDERR_FILENO, STDERR_FILENO};
    const std::size_t before = count_open_fds();
    REQUIRE(sockets.send("", "", fds) == PacketSent::sent);
    CHECK(sockets.receive().result == PacketReceived::end_of_file);
    CHECK(count_open_fds() == before);
}

TEST_CASE("packet: a message longer than the buffer is refused with its descriptors") {
    Sockets sockets;
    const int fds[] = {STDERR_FILENO};
    const std::size_t before = count_open_fds();
    REQUIRE(sockets.send(std::string(65, 'x'), "", fds) == PacketSent::sent);
    const ReceivedPacket packet = sockets.receive();
    CHECK(packet.result == PacketReceived::cut_data);
    CHECK(packet.fds.empty());
    CHECK(count_open_fds() == before);
}

TEST_CASE("packet: a receiver that asks for credentials still gets all descriptors") {
    Sockets sockets;
    const int on = 1;
    REQUIRE(::setsockopt(sockets.there, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    const std::vector<int> fds(252, STDERR_FILENO);
    REQUIRE(sockets.send("x", "", fds) == PacketSent::sent);
    const ReceivedPacket packet = sockets.receive();
    CHECK(packet.result == PacketReceived::received);
    CHECK(packet.fds.size() == 252);
}

TEST_CASE("packet: a receiver at its descriptor limit owns what came") {
    in_child([] {
        Sockets sockets;
        const int fds[] = {0, 1, 2};
        const std::size_t before = count_open_fds();
        // Two numbers are left of three.
        const rlimit limit{.rlim_cur = before + 2, .rlim_max = before + 2};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        if (sockets.send("x", "", fds) != PacketSent::sent) return 2;
        {
            const ReceivedPacket packet = sockets.receive();
            if (packet.result != PacketReceived::cut_fds || packet.fds.size() != 2) return 3;
        }
        return count_open_fds() == before ? 0 : 4;
    });
}

TEST_CASE("packet: a full socket would block, one without a peer fails") {
    Sockets sockets;
    const std::string block(30'000, 'x');
    PacketSent result = PacketSent::sent;
    int sent = 0;
    while ((result = sockets.send(block, "")) == PacketSent::sent)
        ++sent;
    CHECK(result == PacketSent::would_block);
    CHECK(sent > 0);
    sockets.ends.second.reset();
    while ((result = sockets.send("x", "")) == PacketSent::sent) {
    }
    CHECK(result == PacketSent::failed);
}

TEST_CASE("packet: the last words of a peer that left messages unread are heard") {
    Sockets sockets;
    REQUIRE(sockets.send("unread", "") == PacketSent::sent);
    REQUIRE(send_packet(sockets.there, bytes("last words"), {}, {}) == PacketSent::sent);
    sockets.ends.second.reset();
    const ReceivedPacket packet = receive_packet(sockets.here, sockets.buffer);
    CHECK(packet.result == PacketReceived::received);
    CHECK(packet.size == 10);
    CHECK(receive_packet(sockets.here, sockets.buffer).result == PacketReceived::end_of_file);
}
