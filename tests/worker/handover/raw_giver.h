// The bare other end of a HandoverReceiver: gives what a test wants, well made or forged. Runs in: tests.
#pragma once

#include "core/protocol/channel.h"
#include "core/protocol/packet.h"
#include "worker/handover/handover_format.h"

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace drover::test {

struct RawGiver {
    std::pair<UniqueFd, UniqueFd> ends = Channel::make_pair();  // ours, the receiver's
    std::uint64_t sequence = 0;

    void send(MessageType type, std::string_view payload, std::span<const int> fds = {}) const {
        MessageHeader header;
        header.type = static_cast<std::uint16_t>(type);
        header.payload_size = static_cast<std::uint32_t>(payload.size());
        header.fd_count = static_cast<std::uint16_t>(fds.size());
        REQUIRE(send_packet(ends.first.get(), std::as_bytes(std::span(&header, 1)),
                            std::as_bytes(std::span(payload)), fds) == PacketSent::sent);
    }
    void begin(std::string_view listener_names) const {
        const Hello hello;
        send(MessageType::hello, {reinterpret_cast<const char*>(&hello), sizeof hello});
        send(MessageType::handover_begin, listener_names);
    }
    // One record each, in one batch, with these descriptors in this order.
    void give(const std::vector<CarriedConnection>& connections, std::span<const int> fds) {
        const HandoverBatch batch{++sequence, static_cast<std::uint32_t>(connections.size()), 0};
        std::string payload(reinterpret_cast<const char*>(&batch), sizeof batch);
        for (const CarriedConnection& connection : connections)
            append_record(payload, connection);
        send(MessageType::handover_connections, payload, fds);
    }
    // The next acknowledgement, when it is there.
    std::optional<HandoverAck> read_ack() const {
        std::vector<std::byte> buffer(sizeof(MessageHeader) + max_message_payload);
        while (receive_packet(ends.first.get(), buffer).result == PacketReceived::received) {
            MessageHeader header;
            std::memcpy(&header, buffer.data(), sizeof header);
            if (header.type != static_cast<std::uint16_t>(MessageType::handover_ack)) continue;
            HandoverAck ack;
            std::memcpy(&ack, buffer.data() + sizeof header, sizeof ack);
            return ack;
        }
        return std::nullopt;
    }
};

inline bool is_refused(const HandoverAck& ack, std::size_t index) {
    return (ack.refused[index / 8] & (1U << (index % 8))) != 0;
}

}  // namespace drover::test
