#include "core/protocol/channel.h"

#include "core/base/check.h"
#include "core/base/system_error.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

namespace drover {
namespace {

constexpr std::size_t messages_per_wake_up = 32;  // so that one peer cannot keep the loop for itself
constexpr std::chrono::milliseconds retry_delay{10};

}  // namespace

// Tells a function that calls handlers whether one of them destroyed the Channel. They nest: a handler may
// itself ask for what is pending.
class Channel::DestroyedFlag {
  public:
    explicit DestroyedFlag(Channel& channel) noexcept
        : channel_(channel), outer_(std::exchange(channel.destroyed_, &destroyed_)) {}
    ~DestroyedFlag() {
        if (!destroyed_) {
            channel_.destroyed_ = outer_;
        } else if (outer_ != nullptr) {
            *outer_ = true;
        }
    }
    DestroyedFlag(const DestroyedFlag&) = delete;
    DestroyedFlag& operator=(const DestroyedFlag&) = delete;

    bool alive_and_open() const noexcept { return !destroyed_ && channel_.open(); }

  private:
    Channel& channel_;
    bool* outer_;
    bool destroyed_ = false;
};

std::pair<UniqueFd, UniqueFd> Channel::make_pair() {
    int ends[2];
    check_call(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Channel::Channel(EventLoop& loop, UniqueFd socket, MessageHandler on_message, ClosedHandler on_closed)
    : socket_(std::move(socket)),
      on_message_(on_message),
      on_closed_(on_closed),
      retry_(loop, Callback<void()>::to<&Channel::on_retry>(this)) {
    watch_.start(loop, socket_.get(), Interest::read, FdWatch::Handler::to<&Channel::on_ready>(this));
    send(MessageType::hello, Hello{});
}

Channel::~Channel() {
    if (destroyed_ != nullptr) *destroyed_ = true;
}

MessageHeader Channel::make_header(MessageType type, std::span<const std::byte> payload,
                                   std::span<const int> fds) const noexcept {
    const auto number = static_cast<std::uint16_t>(type);
    const MessageRule* const rule = find_message_rule(number);
    DROVER_CHECK(rule != nullptr);
    DROVER_CHECK(payload.size() >= rule->min_size && payload.size() <= rule->max_size);
    DROVER_CHECK(fds.size() >= rule->min_fds && fds.size() <= rule->max_fds);
    MessageHeader header;
    if (version_ != 0) header.version = version_;
    header.type = number;
    header.payload_size = static_cast<std::uint32_t>(payload.size());
    header.fd_count = static_cast<std::uint16_t>(fds.size());
    return header;
}

bool Channel::send(MessageType type, std::span<const std::byte> payload, std::span<const int> fds) {
    const MessageHeader header = make_header(type, payload, fds);
    if (!open() || !failure_.empty()) return false;
    if (!queue_.empty()) return enqueue(header, payload, fds);
    switch (send_packet(socket_.get(), std::as_bytes(std::span(&header, 1)), payload, fds)) {
        case PacketSent::sent:
            return true;
        case PacketSent::would_block:
            if (!enqueue(header, payload, fds)) return false;
            watch_.want(Interest::read_write);
            return true;
        case PacketSent::busy:
            if (!enqueue(header, payload, fds)) return false;
            retry_.start_once(retry_delay);
            return true;
        case PacketSent::failed:
            break;
    }
    fail(fmt::format("sending failed: {}", std::generic_category().message(errno)));
    return false;
}

Channel::TrySend Channel::try_send(MessageType type, std::span<const std::byte> payload,
                                   std::span<const int> fds) {
    const MessageHeader header = make_header(type, payload, fds);
    if (!open() || !failure_.empty()) return TrySend::closed;
    room_wanted_ = true;
    if (!queue_.empty()) return TrySend::wait;
    switch (send_packet(socket_.get(), std::as_bytes(std::span(&header, 1)), payload, fds)) {
        case PacketSent::sent:
            room_wanted_ = false;
            return TrySend::sent;
        case PacketSent::would_block:
            watch_.want(Interest::read_write);
            return TrySend::wait;
        case PacketSent::busy:
            retry_.start_once(retry_delay);
            return TrySend::wait;
        case PacketSent::failed:
            break;
    }
    fail(fmt::format("sending failed: {}", std::generic_category().message(errno)));
    return TrySend::closed;
}

bool Channel::send_text(MessageType type, std::string_view text, std::span<const int> fds) {
    return send(type, std::as_bytes(std::span(text.substr(0, max_message_payload))), fds);
}

bool Channel::enqueue(const MessageHeader& header, std::span<const std::byte> payload,
                      std::span<const int> fds) {
    const std::span<const std::byte> head = std::as_bytes(std::span(&header, 1));
    const std::size_t size = head.size() + payload.size();
    if (queue_.size() >= max_queued_messages || queued_bytes_ + size > max_queued_bytes) {
        fail("the peer does not read: its queue is full");
        return false;
    }
    Queued queued;
    queued.fds.reserve(fds.size());
    for (const int fd : fds) {
        UniqueFd& copy = queued.fds.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!copy) return false;
    }
    queued.bytes.reserve(size);
    queued.bytes.insert(queued.bytes.end(), head.begin(), head.end());
    queued.bytes.insert(queued.bytes.end(), payload.begin(), payload.end());
    queue_.push_back(std::move(queued));
    queued_bytes_ += size;
    return true;
}

void Channel::send_queued() {
    while (!queue_.empty()) {
        const Queued& front = queue_.front();
        std::array<int, max_message_fds> fds;
        std::transform(front.fds.begin(), front.fds.end(), fds.begin(),
                       [](const UniqueFd& fd) { return fd.get(); });
        switch (send_packet(socket_.get(), front.bytes, {}, std::span(fds).first(front.fds.size()))) {
            case PacketSent::sent:
                queued_bytes_ -= front.bytes.size();
                queue_.pop_front();
                break;
            case PacketSent::would_block:
                return watch_.want(Interest::read_write);
            case PacketSent::busy:
                // The socket may well be writable all the time: wait for the timer instead.
                watch_.want(Interest::read);
                return retry_.start_once(retry_delay);
            case PacketSent::failed:
                return fail(fmt::format("sending failed: {}", std::generic_category().message(errno)));
        }
    }
    watch_.want(Interest::read);
    if (std::exchange(room_wanted_, false) && on_room_) on_room_();
}

bool Channel::flush(std::chrono::milliseconds deadline) {
    using std::chrono::milliseconds, std::chrono::steady_clock;
    const auto end = steady_clock::now() + deadline;
    while (open() && !queue_.empty()) {
        milliseconds left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
        if (left <= milliseconds(0)) return false;
        const bool busy = retry_.started();
        if (busy) left = std::min(left, retry_delay);
        left = std::min(left, milliseconds(std::numeric_limits<int>::max()));
        pollfd entry{.fd = socket_.get(), .events = busy ? short{0} : short{POLLOUT}, .revents = 0};
        ::poll(&entry, 1, static_cast<int>(left.count()));
        send_queued();
    }
    return open() && failure_.empty();
}

void Channel::keep_room_for(MessageType type) {
    const MessageRule* const rule = find_message_rule(static_cast<std::uint16_t>(type));
    DROVER_CHECK(rule != nullptr);
    reserve_.emplace(rule->max_fds);
    reserved_for_ = type;
}

bool Channel::next_has_room_kept() const noexcept {
    if (!reserve_) return false;
    MessageHeader header;
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(&header, 1));
    return peek_packet(socket_.get(), bytes) == bytes.size() &&
           header.type == static_cast<std::uint16_t>(reserved_for_);
}

ReceivedPacket Channel::receive_next(std::span<std::byte> buffer) {
    std::optional<DescriptorReserve::Room> room;
    if (next_has_room_kept()) room.emplace(*reserve_);
    return receive_packet(socket_.get(), buffer);
}

void Channel::receive_pending() {
    if (open()) receive(max_queued_messages);
}

void Channel::on_ready(Readiness readiness) {
    if (readiness.readable && !receive(messages_per_wake_up)) return;
    if (readiness.writable) send_queued();
}

void Channel::on_retry() {
    if (failure_.empty()) return send_queued();
    // Its last words may say why it left. All that fits into its socket buffer is less than this many
    // messages.
    if (receive(max_queued_messages)) close(failure_);
}

// False when the channel is closed or destroyed: nothing of it may then be touched.
bool Channel::receive(std::size_t limit) {
    DestroyedFlag flag(*this);
    std::array<std::byte, sizeof(MessageHeader) + max_message_payload> buffer;
    for (std::size_t i = 0; i < limit; ++i) {
        ReceivedPacket packet = receive_next(buffer);
        switch (packet.result) {
            case PacketReceived::received:
                if (!accept_message(std::span(buffer).first(packet.size), std::move(packet.fds), false, flag))
                    return false;
                break;
            case PacketReceived::would_block:
                return true;
            case PacketReceived::end_of_file:
                peer_gone_ = true;
                return close("end of file"), false;
            case PacketReceived::cut_data:
                return close("a message is too long"), false;
            case PacketReceived::cut_fds:
                if (!on_cut_) return close("descriptors of a message were lost"), false;
                if (!accept_message(std::span(buffer).first(packet.size), std::move(packet.fds), true, flag))
                    return false;
                break;
            case PacketReceived::failed:
                return close(fmt::format("receiving failed: {}", std::generic_category().message(errno))),
                       false;
        }
    }
    return true;
}

bool Channel::accept_message(std::span<const std::byte> bytes, std::vector<UniqueFd> fds, bool cut,
                             const DestroyedFlag& flag) {
    const auto refuse = [this](std::string_view reason) { return close(reason), false; };
    MessageHeader header;
    if (bytes.size() < sizeof(header)) return refuse("a message is shorter than its header");
    std::copy_n(bytes.begin(), sizeof(header), std::as_writable_bytes(std::span(&header, 1)).begin());
    const std::span<const std::byte> payload = bytes.subspan(sizeof(header));
    const bool is_hello = header.type == static_cast<std::uint16_t>(MessageType::hello);
    if (is_hello == (version_ != 0))
        return refuse(is_hello ? "a second hello" : "a message before the hello");
    if (!is_hello && (header.version < protocol_version_oldest || header.version > protocol_version)) {
        return refuse(fmt::format("a message of protocol version {}", header.version));
    }
    const MessageRule* const rule = find_message_rule(header.type);
    if (rule == nullptr) return refuse(fmt::format("a message of unknown type {}", header.type));
    if (header.payload_size != payload.size() || payload.size() < rule->min_size ||
        payload.size() > rule->max_size) {
        return refuse(fmt::format("a message of type {} with a payload of {} bytes (header: {})", header.type,
                                  payload.size(), header.payload_size));
    }
    const bool all_came = header.fd_count == fds.size() || (cut && header.fd_count > fds.size());
    if (!all_came || header.fd_count < rule->min_fds || header.fd_count > rule->max_fds) {
        return refuse(fmt::format("a message of type {} with {} descriptors (header: {})", header.type,
                                  fds.size(), header.fd_count));
    }
    if (is_hello) return accept_hello(payload);
    Message message{.type = MessageType{header.type}, .payload = payload, .fds = std::move(fds)};
    const MessageHandler& handler = cut ? on_cut_ : on_message_;
    if (handler) handler(message);
    return flag.alive_and_open();
}

bool Channel::accept_hello(std::span<const std::byte> payload) {
    const Hello hello = Message{.type = MessageType::hello, .payload = payload, .fds = {}}.as<Hello>();
    if (hello.oldest > hello.newest || hello.oldest > protocol_version ||
        hello.newest < protocol_version_oldest) {
        close(fmt::format("protocol versions {} to {} do not meet ours, {} to {}", hello.oldest, hello.newest,
                          protocol_version_oldest, protocol_version));
        return false;
    }
    version_ = std::min(hello.newest, protocol_version);
    return true;
}

void Channel::fail(std::string reason) {
    failure_ = std::move(reason);
    queue_.clear();
    queued_bytes_ = 0;
    watch_.want(Interest::read);
    retry_.start_once(std::chrono::milliseconds(0));
}

void Channel::close(std::string_view reason) {
    const std::string kept(reason);  // it may be failure_, and the handler may destroy the channel
    watch_.stop();
    retry_.stop();
    queue_.clear();
    queued_bytes_ = 0;
    socket_.reset();
    if (on_closed_) on_closed_(kept);
}

}  // namespace drover
