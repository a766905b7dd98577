// One or both sides of a Channel for tests: Side keeps what a Channel delivers, RawPeer is a Channel whose
// peer is a bare socket that may say anything.
#pragma once

#include "core/protocol/channel.h"
#include "core/protocol/packet.h"
#include "tests/support/contains.h"
#include "tests/support/run_until.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace drover::test {

struct Received {
    MessageType type;
    std::string payload;
    std::size_t fds;
};

// A Channel whose messages are kept; `on_message` may do more.
struct Side {
    std::vector<Received> messages;
    std::optional<std::string> closed;
    std::function<void(Message&)> on_message;
    std::optional<Channel> channel;

    Side(EventLoop& loop, UniqueFd socket) {
        channel.emplace(loop, std::move(socket), Channel::MessageHandler::to<&Side::keep>(this),
                        Channel::ClosedHandler::to<&Side::close>(this));
    }
    void keep(Message& message) {
        messages.push_back({message.type, std::string(message.text()), message.fds.size()});
        if (on_message) on_message(message);
    }
    void close(std::string_view reason) { closed = reason; }
};

// A Channel and the raw socket of a peer that may say anything.
struct RawPeer {
    EventLoop loop;
    std::pair<UniqueFd, UniqueFd> ends = Channel::make_pair();
    int raw = ends.second.get();
    Side side{loop, std::move(ends.first)};

    void send_raw(std::string_view bytes, std::span<const int> fds = {}) const {
        REQUIRE(send_packet(raw, std::as_bytes(std::span(bytes)), {}, fds) == PacketSent::sent);
    }
    void send(MessageHeader header, std::string_view payload, std::span<const int> fds = {}) const {
        REQUIRE(send_packet(raw, std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(payload)),
                            fds) == PacketSent::sent);
    }
    void send(MessageType type, std::string_view payload, std::span<const int> fds = {}) const {
        MessageHeader header;
        header.type = static_cast<std::uint16_t>(type);
        header.payload_size = static_cast<std::uint32_t>(payload.size());
        header.fd_count = static_cast<std::uint16_t>(fds.size());
        send(header, payload, fds);
    }
    void hello(Hello range = {}) const {
        send(MessageType::hello, {reinterpret_cast<const char*>(&range), sizeof(range)});
    }
    // Why the channel closed.
    std::string reason() {
        REQUIRE(run_until(loop, [&] { return side.closed.has_value(); }));
        CHECK_FALSE(side.channel->open());
        return *side.closed;
    }
};

}  // namespace drover::test
