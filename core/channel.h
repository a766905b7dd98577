// Channel is one end of a SOCK_SEQPACKET socket pair: typed messages with descriptors (SCM_RIGHTS), each
// checked against core/message.h before it is delivered. It never blocks: what the socket does not take waits
// in a bounded queue, and a peer that lets the queue overflow loses the channel. Sends its hello at
// construction and delivers nothing before the peer's hello has settled the version. A handler may destroy
// the Channel.
// Special state: closed (the peer is gone, broke the protocol, or overflowed the queue).
// Runs in: the master and its children, one Channel each side of a child.
#pragma once

#include "core/event_loop.h"
#include "core/message.h"
#include "core/unique_fd.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover {

// A received message. The payload is valid until the handler returns; descriptors not moved out are closed
// then.
struct Message {
    MessageType type{};
    std::span<const std::byte> payload;
    std::vector<UniqueFd> fds;

    // The fixed struct that core/message.h gives this type. Its length has been checked by the channel.
    template <class T>
    T as() const noexcept;
    std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(payload.data()), payload.size()};
    }
};

class Channel {
  public:
    using MessageHandler = Callback<void(Message&)>;
    // Why the channel closed: "end of file", or what rule the peer broke. The handler may destroy the
    // Channel.
    using ClosedHandler = Callback<void(std::string_view reason)>;

    static constexpr std::size_t max_queued_messages = 1024;
    static constexpr std::size_t max_queued_bytes = 1024 * 1024;

    // Two connected close-on-exec ends. Throws std::system_error.
    static std::pair<UniqueFd, UniqueFd> make_pair();

    Channel(EventLoop& loop, UniqueFd socket, MessageHandler on_message, ClosedHandler on_closed);
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // Sends or queues; descriptors are duplicated when queued, so the caller keeps its own. False, with
    // nothing queued, when the channel is closed, and when the peer is gone or the queue is full: then what
    // the peer has sent is still delivered and the channel closed, both from the loop and never from inside
    // send(). A message that breaks its own rule in core/message.h is a bug: it aborts.
    bool send(MessageType type, std::span<const std::byte> payload = {}, std::span<const int> fds = {});
    template <class T>
    bool send(MessageType type, const T& payload, std::span<const int> fds = {}) {
        return send(type, std::as_bytes(std::span(&payload, 1)), fds);
    }
    // Texts longer than max_message_payload are cut.
    bool send_text(MessageType type, std::string_view text, std::span<const int> fds = {});

    // Delivers what has arrived and not been read yet, without waiting: the last words of a peer that has
    // ended. Calls the handlers, on_closed too.
    void receive_pending();

    // Blocks until the queue is empty or `deadline` is over; true when it is empty. For a child that is about
    // to exit.
    bool flush(std::chrono::milliseconds deadline);

    bool open() const noexcept { return static_cast<bool>(socket_); }
    int fd() const noexcept { return socket_.get(); }

  private:
    struct Queued {
        std::vector<std::byte> bytes;  // header and payload
        std::vector<UniqueFd> fds;
    };
    class DestroyedFlag;

    void on_ready(Readiness readiness);
    void on_retry();
    bool receive(std::size_t limit);
    bool accept_hello(std::span<const std::byte> payload);
    bool accept_message(std::span<const std::byte> bytes, std::vector<UniqueFd> fds,
                        const DestroyedFlag& flag);
    bool enqueue(const MessageHeader& header, std::span<const std::byte> payload, std::span<const int> fds);
    void send_queued();
    void fail(std::string reason);
    void close(std::string_view reason);

    UniqueFd socket_;
    MessageHandler on_message_;
    ClosedHandler on_closed_;
    FdWatch watch_;
    Timer retry_;
    std::deque<Queued> queue_;
    std::size_t queued_bytes_ = 0;
    std::uint16_t version_ = 0;  // 0 until the peer's hello
    std::string failure_;        // not empty: why the channel is about to close
    bool* destroyed_ = nullptr;  // set by the destructor while a handler runs
};

template <class T>
T Message::as() const noexcept {
    T value;
    __builtin_memcpy(&value, payload.data(), sizeof(T));
    return value;
}

}  // namespace drover
