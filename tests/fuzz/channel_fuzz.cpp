// Feeds a Channel what a hostile peer could send: raw messages, and messages with a right header and wrong
// contents, with and without descriptors. Nothing may crash, hang or leave a descriptor open. Input: for each
// message a byte of flags, a byte for type, two for the length, then the bytes.
#include "core/base/check.h"
#include "core/protocol/channel.h"
#include "core/protocol/packet.h"
#include "tests/support/open_fds.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include <sys/socket.h>

using namespace drover;

namespace {

enum Flags : unsigned {
    with_header = 1,   // prefix a header of the type, that says what follows
    wrong_header = 2,  // take size and count in it from the input instead
    many_fds = 4,
    some_fds = 8,  // as many as the rule wants
    destroy = 16,  // the handler of the next message destroys the Channel
    answer = 32,   // the handler of the next message sends
    dispatch = 64,
    close_peer = 128,
};

class Target {
  public:
    Target(EventLoop& loop, UniqueFd socket)
        : channel_(std::make_unique<Channel>(loop, std::move(socket),
                                             Channel::MessageHandler::to<&Target::on_message>(this),
                                             Channel::ClosedHandler::to<&Target::on_closed>(this))) {}

    void prepare(unsigned flags) { flags_ = flags; }
    bool alive() const { return channel_ != nullptr; }
    void drop() { channel_.reset(); }

  private:
    void on_message(Message& message) {
        const MessageRule* const rule = find_message_rule(static_cast<std::uint16_t>(message.type));
        DROVER_CHECK(rule != nullptr && message.type != MessageType::hello);
        DROVER_CHECK(message.payload.size() >= rule->min_size && message.payload.size() <= rule->max_size);
        DROVER_CHECK(message.fds.size() >= rule->min_fds && message.fds.size() <= rule->max_fds);
        if ((flags_ & answer) != 0) channel_->send_text(MessageType::failed, message.text());
        if ((flags_ & destroy) != 0) channel_.reset();
    }
    void on_closed(std::string_view reason) {
        DROVER_CHECK(!reason.empty());
        channel_.reset();
    }

    std::unique_ptr<Channel> channel_;
    unsigned flags_ = 0;
};

class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
    bool empty() const { return size_ == 0; }
    unsigned byte() {
        if (size_ == 0) return 0;
        --size_;
        return *data_++;
    }
    std::span<const std::byte> bytes(std::size_t count) {
        count = std::min(count, size_);
        const auto* const begin = reinterpret_cast<const std::byte*>(data_);
        data_ += count;
        size_ -= count;
        return {begin, count};
    }

  private:
    const std::uint8_t* data_;
    std::size_t size_;
};

void feed_one(Input& input, int peer, unsigned flags) {
    const auto type = static_cast<std::uint16_t>(input.byte());
    const std::size_t length = input.byte() | input.byte() << 8U;
    const MessageRule* const rule = find_message_rule(type);
    std::size_t fd_count = 0;
    if ((flags & many_fds) != 0) fd_count = input.byte() % (max_message_fds + 1);
    if ((flags & some_fds) != 0 && rule != nullptr) fd_count = rule->min_fds;
    const std::array<int, max_message_fds> fds{};  // all of them standard input

    const bool fitting = (flags & with_header) != 0 && rule != nullptr && rule->min_size == rule->max_size;
    const std::span<const std::byte> payload = input.bytes(fitting ? rule->min_size : length);
    MessageHeader header;
    header.type = type;
    header.payload_size = static_cast<std::uint32_t>(payload.size());
    header.fd_count = static_cast<std::uint16_t>(fd_count);
    if ((flags & wrong_header) != 0) {
        const std::span<const std::byte> other = input.bytes(sizeof(header));
        std::memcpy(&header, other.data(), other.size());
    }
    const auto head = std::as_bytes(std::span(&header, (flags & with_header) != 0 ? 1U : 0U));
    send_packet(peer, head, payload, std::span(fds).first(fd_count));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::size_t before = test::count_open_fds();
    {
        EventLoop loop;
        auto [here, peer] = Channel::make_pair();
        Target target(loop, std::move(here));
        Input input(data, size);
        if (input.byte() % 4 != 0) {
            const MessageHeader header{1, static_cast<std::uint16_t>(MessageType::hello), sizeof(Hello), 0, 0,
                                       0};
            const Hello hello;
            send_packet(peer.get(), std::as_bytes(std::span(&header, 1)), std::as_bytes(std::span(&hello, 1)),
                        {});
        }
        while (!input.empty() && target.alive() && peer) {
            const unsigned flags = input.byte();
            target.prepare(flags);
            feed_one(input, peer.get(), flags);
            if ((flags & dispatch) != 0) loop.run_once(std::chrono::milliseconds(0));
            if ((flags & close_peer) != 0) peer.reset();
        }
        peer.reset();
        for (int rounds = 0; target.alive(); ++rounds) {
            DROVER_CHECK(rounds < 10'000);
            loop.run_once(std::chrono::milliseconds(100));
        }
    }
    DROVER_CHECK(test::count_open_fds() == before);
    return 0;
}
