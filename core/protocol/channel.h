// Channel is one end of a SOCK_SEQPACKET socket pair: typed messages with descriptors (SCM_RIGHTS), each
// checked against core/protocol/message.h before it is delivered. It never blocks: what the socket does not
// take waits in a bounded queue, and a peer that lets the queue overflow loses the channel. Sends its hello
// at construction and delivers nothing before the peer's hello has settled the version. A handler may destroy
// the Channel.
// Special state: closed (the peer is gone, broke the protocol, or overflowed the queue).
// Runs in: the master and its children, one Channel each side of a child.
#pragma once

#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"
#include "core/process/descriptor_reserve.h"
#include "core/protocol/message.h"
#include "core/protocol/packet.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace drover {

// A received message. The payload is valid until the handler returns; descriptors not moved out are closed
// then.
struct Message {
    MessageType type{};
    std::span<const std::byte> payload;
    std::vector<UniqueFd> fds;

    // The fixed struct that core/protocol/message.h gives this type. Its length has been checked by the
    // channel.
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
    // send(). False, too, when no descriptor is free for a duplicate: then the channel goes on. A message
    // that breaks its own rule in core/protocol/message.h is a bug: it aborts.
    bool send(MessageType type, std::span<const std::byte> payload = {}, std::span<const int> fds = {});
    template <class T>
    requires std::is_trivially_copyable_v<T>
    bool send(MessageType type, const T& payload, std::span<const int> fds = {}) {
        return send(type, std::as_bytes(std::span(&payload, 1)), fds);
    }
    // Texts longer than max_message_payload are cut.
    bool send_text(MessageType type, std::string_view text, std::span<const int> fds = {});

    enum class TrySend : std::uint8_t {
        sent,    // the kernel has it: whatever becomes of this process, the peer can read it
        wait,    // nothing was sent or queued; the room handler is called when it is time to try again
        closed,  // as when send() says false
    };
    // For messages that must have left before something else may happen, or whose descriptors must not be
    // duplicated: sends at once or not at all, and nothing while older messages are queued.
    TrySend try_send(MessageType type, std::span<const std::byte> payload = {},
                     std::span<const int> fds = {});
    template <class T>
    TrySend try_send(MessageType type, const T& payload, std::span<const int> fds = {}) {
        return try_send(type, std::as_bytes(std::span(&payload, 1)), fds);
    }
    // Called from the loop.
    void set_room_handler(Callback<void()> on_room) noexcept { on_room_ = on_room; }
    // Gets a message whose descriptors did not all find room in this process (RLIMIT_NOFILE), with those that
    // did. Without such a handler the message closes the channel.
    void set_cut_handler(MessageHandler on_cut) noexcept { on_cut_ = on_cut; }
    // From now on the descriptors of a message of this type always find room in this process: places are kept
    // free for them. Costs a system call more for each message received.
    void keep_room_for(MessageType type);

    // Delivers what has arrived and not been read yet, without waiting: the last words of a peer that has
    // ended. Calls the handlers, on_closed too.
    void receive_pending();

    // Blocks until the queue is empty or `deadline` is over; true when it is empty. For a child that is about
    // to exit.
    bool flush(std::chrono::milliseconds deadline);

    bool open() const noexcept { return static_cast<bool>(socket_); }
    // The peer's hello has come, and there is a version that both speak.
    bool settled() const noexcept { return version_ != 0; }
    // Nothing can be sent any more.
    bool closing() const noexcept { return !open() || !failure_.empty(); }
    // Closed because nobody holds the peer's end any more; else it was closed by this side.
    bool peer_gone() const noexcept { return peer_gone_; }
    // Something waits that the socket does not take.
    bool has_queued() const noexcept { return !queue_.empty(); }
    int fd() const noexcept { return socket_.get(); }

  private:
    struct Queued {
        std::vector<std::byte> bytes;  // header and payload
        std::vector<UniqueFd> fds;
    };
    class DestroyedFlag;

    void on_ready(Readiness readiness);
    void on_retry();
    bool next_has_room_kept() const noexcept;
    ReceivedPacket receive_next(std::span<std::byte> buffer);
    bool receive(std::size_t limit);
    bool accept_hello(std::span<const std::byte> payload);
    bool accept_message(std::span<const std::byte> bytes, std::vector<UniqueFd> fds, bool cut,
                        const DestroyedFlag& flag);
    MessageHeader make_header(MessageType type, std::span<const std::byte> payload,
                              std::span<const int> fds) const noexcept;
    bool enqueue(const MessageHeader& header, std::span<const std::byte> payload, std::span<const int> fds);
    void send_queued();
    void fail(std::string reason);
    void close(std::string_view reason);

    UniqueFd socket_;
    MessageHandler on_message_;
    ClosedHandler on_closed_;
    Callback<void()> on_room_;
    MessageHandler on_cut_;
    FdWatch watch_;
    Timer retry_;
    std::deque<Queued> queue_;
    std::size_t queued_bytes_ = 0;
    std::uint16_t version_ = 0;  // 0 until the peer's hello
    std::optional<DescriptorReserve> reserve_;
    MessageType reserved_for_{};
    std::string failure_;       // not empty: why the channel is about to close
    bool room_wanted_ = false;  // try_send() has said `wait`
    bool peer_gone_ = false;
    bool* destroyed_ = nullptr;  // set by the destructor while a handler runs
};

template <class T>
T Message::as() const noexcept {
    T value;
    __builtin_memcpy(&value, payload.data(), sizeof(T));
    return value;
}

}  // namespace drover
