// What a Channel sends, takes and refuses: core/protocol/message.h's rules.
#include "core/protocol/channel.h"
#include "tests/support/open_fds.h"
#include "tests/support/raw_peer.h"

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("channel: every type travels with its payload and descriptors") {
    const std::size_t before = count_open_fds();
    {
        EventLoop loop;
        auto [left_end, right_end] = Channel::make_pair();
        Side left(loop, std::move(left_end));
        Side right(loop, std::move(right_end));
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        const UniqueFd owner(null);
        struct stat expected {};
        REQUIRE(::fstat(null, &expected) == 0);
        right.on_message = [&](Message& message) {
            for (const UniqueFd& fd : message.fds) {
                struct stat status {};
                CHECK(::fstat(fd.get(), &status) == 0);
                CHECK(status.st_rdev == expected.st_rdev);
                CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
            }
        };
        std::vector<Received> sent;
        for (std::uint16_t number = 2; find_message_rule(number) != nullptr; ++number) {
            const MessageRule& rule = *find_message_rule(number);
            for (const bool largest : {false, true}) {
                const std::string payload(largest ? rule.max_size : rule.min_size,
                                          static_cast<char>('a' + number));
                const std::vector<int> fds(largest ? rule.max_fds : rule.min_fds, null);
                REQUIRE(left.channel->send(MessageType{number}, std::as_bytes(std::span(payload)), fds));
                sent.push_back({MessageType{number}, payload, fds.size()});
            }
        }
        CHECK(sent.size() == 2 * (static_cast<std::size_t>(MessageType::handover_full) - 1));
        REQUIRE(run_until(loop, [&] { return right.messages.size() == sent.size(); }));
        for (std::size_t i = 0; i < sent.size(); ++i) {
            CHECK(right.messages[i].type == sent[i].type);
            CHECK(right.messages[i].payload == sent[i].payload);
            CHECK(right.messages[i].fds == sent[i].fds);
        }
        CHECK_FALSE(left.closed);
    }
    CHECK(count_open_fds() == before);
}

TEST_CASE("channel: structs and texts, cut to what fits, and a descriptor that is kept") {
    EventLoop loop;
    auto [left_end, right_end] = Channel::make_pair();
    Side left(loop, std::move(left_end));
    Side right(loop, std::move(right_end));
    UniqueFd kept;
    std::uint64_t generation = 0;
    right.on_message = [&](Message& message) {
        if (message.type != MessageType::image) return;
        generation = message.as<GenerationMessage>().generation;
        kept = std::move(message.fds[0]);
    };
    const int fds[] = {STDERR_FILENO};
    CHECK(left.channel->send(MessageType::image, GenerationMessage{.generation = 42}, fds));
    CHECK(left.channel->send_text(MessageType::failed, std::string(max_message_payload + 100, 'y')));
    REQUIRE(run_until(loop, [&] { return right.messages.size() == 2; }));
    CHECK(generation == 42);
    CHECK(::fcntl(kept.get(), F_GETFD) >= 0);
    CHECK(right.messages[1].payload == std::string(max_message_payload, 'y'));
}

TEST_CASE("channel: what breaks the protocol closes with a reason and leaks nothing") {
    const std::size_t before = count_open_fds();
    const int three[] = {0, 1, 2};
    const auto refused = [&](const std::function<void(const RawPeer&)>& act, std::string_view expected) {
        RawPeer peer;
        peer.hello();
        act(peer);
        // What follows is not looked at any more, and its descriptors are the kernel's to close.
        peer.send(MessageType::log_file, "", std::span(three).first(1));
        const std::string reason = peer.reason();
        CHECK_MESSAGE(contains(reason, expected), reason);
        CHECK(peer.side.messages.empty());
    };
    const auto header = [](MessageType type, std::uint32_t size, std::uint16_t fds,
                           std::uint16_t version = 1) {
        return MessageHeader{version, static_cast<std::uint16_t>(type), size, fds, 0, 0};
    };
    refused([](const RawPeer& peer) { peer.send_raw("short"); }, "shorter than its header");
    refused([&](const RawPeer& peer) { peer.send_raw("short", three); }, "shorter than its header");
    refused([](const RawPeer& peer) { peer.send(MessageType::start, "1234567"); }, "7 bytes");
    refused([](const RawPeer& peer) { peer.send(MessageType::start, "123456789"); }, "9 bytes");
    refused([&](const RawPeer& peer) { peer.send(header(MessageType::start, 9, 0), "12345678"); },
            "(header: 9)");
    refused([&](const RawPeer& peer) { peer.send(header(MessageType::failed, ~0U, 0), "text"); }, "4 bytes");
    refused(
        [](const RawPeer& peer) {
            peer.send(MessageType::failed, std::string(max_message_payload + 1, 'x'));
        },
        "too long");
    refused([](const RawPeer& peer) { peer.send(MessageType::log_file, ""); }, "0 descriptors");
    refused([&](const RawPeer& peer) { peer.send(MessageType::log_file, "", three); }, "3 descriptors");
    refused([](const RawPeer& peer) { peer.send(MessageType::log_file, "", std::vector(252, 2)); },
            "252 descriptors");
    refused([&](const RawPeer& peer) { peer.send(header(MessageType::log_file, 0, 1), "", three); },
            "(header: 1)");
    refused([&](const RawPeer& peer) { peer.send(MessageType::ready, "12345678", three); }, "3 descriptors");
    refused(
        [&](const RawPeer& peer) {
            peer.send(header(MessageType::log_file, 0, 0), "", std::span(three).first(1));
        },
        "(header: 0)");
    refused([](const RawPeer& peer) { peer.send(MessageType{0}, ""); }, "unknown type 0");
    refused([](const RawPeer& peer) { peer.send(MessageType{999}, ""); }, "unknown type 999");
    refused([&](const RawPeer& peer) { peer.send(MessageType{999}, "", three); }, "unknown type 999");
    refused([&](const RawPeer& peer) { peer.send(header(MessageType::ready, 8, 0, 2), "12345678"); },
            "version 2");
    refused([](const RawPeer& peer) { peer.hello(); }, "second hello");
    refused([&](const RawPeer& peer) { peer.send_raw("", three); }, "end of file");
    CHECK(count_open_fds() == before);
}

TEST_CASE("channel: nothing is delivered before a hello that fits") {
    const std::size_t before = count_open_fds();
    const int one[] = {2};
    const auto refused = [](const std::function<void(const RawPeer&)>& act, std::string_view expected) {
        RawPeer peer;
        act(peer);
        const std::string reason = peer.reason();
        CHECK_MESSAGE(contains(reason, expected), reason);
        CHECK(peer.side.messages.empty());
    };
    refused([&](const RawPeer& peer) { peer.send(MessageType::log_file, "", one); }, "before the hello");
    refused([](const RawPeer& peer) { peer.send(MessageType::hello, "1234567"); }, "7 bytes");
    refused([&](const RawPeer& peer) { peer.send(MessageType::hello, "12345678", one); }, "1 descriptors");
    refused([](const RawPeer& peer) { peer.hello({.oldest = 2, .newest = 9, .reserved = 0}); },
            "protocol versions 2 to 9 do not meet ours, 1 to 1");
    refused([](const RawPeer& peer) { peer.hello({.oldest = 0, .newest = 0, .reserved = 0}); },
            "do not meet");
    refused([](const RawPeer& peer) { peer.hello({.oldest = 1, .newest = 0, .reserved = 0}); },
            "do not meet");
    CHECK(count_open_fds() == before);
}

TEST_CASE("channel: a newer peer that still speaks our version is welcome") {
    RawPeer peer;
    MessageHeader header{7, static_cast<std::uint16_t>(MessageType::hello), sizeof(Hello), 0, 0, 0};
    const Hello range{.oldest = 1, .newest = 7, .reserved = 0};
    peer.send(header, {reinterpret_cast<const char*>(&range), sizeof(range)});
    peer.send(MessageType::failed, "hello");
    REQUIRE(run_until(peer.loop, [&] { return peer.side.messages.size() == 1; }));
    CHECK(peer.side.channel->open());
}

TEST_CASE("channel: says hello first, with the range it speaks") {
    RawPeer peer;
    CHECK(peer.side.channel->send_text(MessageType::failed, "after"));
    std::array<std::byte, 64> buffer{};
    const ReceivedPacket packet = receive_packet(peer.raw, buffer);
    REQUIRE(packet.size == sizeof(MessageHeader) + sizeof(Hello));
    MessageHeader header;
    Hello hello;
    std::memcpy(&header, buffer.data(), sizeof(header));
    std::memcpy(&hello, buffer.data() + sizeof(header), sizeof(hello));
    CHECK(header.version == protocol_version);
    CHECK(header.type == static_cast<std::uint16_t>(MessageType::hello));
    CHECK(hello.oldest == protocol_version_oldest);
    CHECK(hello.newest == protocol_version);
}
