#include "worker/handover/handover_receiver.h"

#include "worker/stream/connection.h"
#include "worker/stream/connection_list.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

#include <fcntl.h>
#include <sys/stat.h>

namespace drover {

namespace {

// A giver sends no more messages unanswered than HandoverGiver::window; one that does is no giver of ours.
constexpr std::size_t most_unsent_answers = 8;

int socket_option(int fd, int option) noexcept {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

// A file, a pipe or a listening socket in its place would end this worker, or keep it waiting.
bool is_connection(int fd, int family) noexcept {
    if (socket_option(fd, SO_TYPE) != SOCK_STREAM || socket_option(fd, SO_ACCEPTCONN) != 0) return false;
    const int own = socket_option(fd, SO_DOMAIN);
    const bool known = own == AF_INET || own == AF_INET6 || own == AF_UNIX;
    if (family == AF_UNSPEC ? !known : own != family) return false;
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
           ::fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

// Whether the file has the range, and gives it without waiting.
bool has_range(int fd, const FileRange& range) noexcept {
    struct stat status;
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
    const int flags = ::fcntl(fd, F_GETFL);
    const bool readable = flags >= 0 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_WRONLY;
    return readable && range.offset + range.length <= static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

HandoverReceiver::HandoverReceiver(EventLoop& loop, ConnectionList& connections, UniqueFd socket,
                                   FindTarget find_target, EndHandler on_end, RoomHandler room)
    : connections_(connections),
      find_target_(std::move(find_target)),
      on_end_(on_end),
      room_(room),
      channel_(loop, std::move(socket), Channel::MessageHandler::to<&HandoverReceiver::on_message>(this),
               Channel::ClosedHandler::to<&HandoverReceiver::on_closed>(this)) {
    channel_.set_room_handler(Callback<void()>::to<&HandoverReceiver::send_answers>(this));
    channel_.set_cut_handler(Channel::MessageHandler::to<&HandoverReceiver::on_cut>(this));
}

HandoverReceiver::~HandoverReceiver() {
    settle_unsent(false);
}

void HandoverReceiver::on_message(Message& message) {
    switch (message.type) {
        case MessageType::handover_begin:
            return take_names(message.text());
        case MessageType::handover_part:
            if (message.payload.empty()) parts_.clear();
            if (parts_.size() + message.payload.size() <= 2 * max_carried_bytes)
                parts_.append(message.text());
            return;
        case MessageType::handover_connections:
            return take_batch(message);
        default:
            return;
    }
}

// A giver that has left, or closed the channel, reads what it had sent no more: it is ours.
void HandoverReceiver::on_closed(std::string_view) {
    settle_unsent(channel_.peer_gone());
    if (on_end_) on_end_();
}

void HandoverReceiver::settle_unsent(bool keep) {
    for (const Answer& answer : std::exchange(unsent_, {})) {
        if (answer.full) continue;
        if (keep) {
            taken_ += connections_.begin_adopted(answer.held);
        } else {
            connections_.drop_adopted(answer.held);
        }
    }
}

void HandoverReceiver::take_names(std::string_view names) {
    targets_.clear();
    while (!names.empty()) {
        const std::size_t end = names.find('\n');
        targets_.push_back(find_target_(names.substr(0, end)));
        names.remove_prefix(end == names.npos ? names.size() : end + 1);
    }
}

void HandoverReceiver::take_batch(Message& message) {
    HandoverBatch batch;
    if (message.payload.size() < sizeof(batch) || unsent_.size() >= most_unsent_answers) return;
    const std::size_t room = room_ ? room_() : SIZE_MAX;
    if (message.fds.size() > room) return refuse_for_room(message, room);
    std::memcpy(&batch, message.payload.data(), sizeof(batch));
    std::string whole = std::exchange(parts_, {});
    std::string_view records = message.text().substr(sizeof(batch));
    if (!whole.empty()) records = whole.append(records);

    HandoverAck ack{.sequence = batch.sequence};
    std::span<UniqueFd> fds = message.fds;
    const std::size_t count = std::min<std::size_t>(batch.count, 8 * sizeof(ack.refused));
    for (std::size_t i = 0; i < count; ++i) {
        if (!take_one(records, fds))
            ack.refused[i / 8] = static_cast<std::uint8_t>(ack.refused[i / 8] | (1U << (i % 8)));
    }
    unsent_.push_back({.ack = ack, .held = connections_.close_batch()});
    send_answers();
}

// Without room for the message's descriptors in the process: how many do find room is tried out.
void HandoverReceiver::on_cut(Message& message) {
    if (message.type == MessageType::handover_connections) refuse_for_room(message, message.fds.size() / 2);
}

void HandoverReceiver::refuse_for_room(const Message& message, std::size_t room) {
    HandoverBatch batch;
    if (message.payload.size() < sizeof(batch) || unsent_.size() >= most_unsent_answers) return;
    std::memcpy(&batch, message.payload.data(), sizeof(batch));
    parts_.clear();
    unsent_.push_back(
        {.full = true, .refusal = {.sequence = batch.sequence, .room = static_cast<std::uint32_t>(room)}});
    send_answers();
}

// From the moment an acknowledgement has left its connections are ours; before it they are the giver's.
void HandoverReceiver::send_answers() {
    while (!unsent_.empty()) {
        const Answer& front = unsent_.front();
        const Channel::TrySend sent = front.full
                                          ? channel_.try_send(MessageType::handover_full, front.refusal)
                                          : channel_.try_send(MessageType::handover_ack, front.ack);
        if (sent != Channel::TrySend::sent) return;  // when the channel is closed, on_closed follows
        const Answer answer = front;
        unsent_.pop_front();
        if (!answer.full) taken_ += connections_.begin_adopted(answer.held);
    }
}

// Takes a record and its descriptors, which are closed when it is refused.
bool HandoverReceiver::take_one(std::string_view& records, std::span<UniqueFd>& fds) {
    std::optional<CarriedConnection> carried = take_record(records);
    const std::size_t needed = carried && carried->file.length > 0 ? 2 : 1;
    if (!carried || fds.size() < needed) {
        // Which descriptor belongs to which of the records behind it is not known either.
        records = {};
        return false;
    }
    UniqueFd socket = std::move(fds[0]);
    if (needed > 1) carried->file.file = std::make_shared<const UniqueFd>(std::move(fds[1]));
    fds = fds.subspan(needed);
    if (carried->listener >= targets_.size()) return false;
    const Target target = targets_[carried->listener];
    if (target.module == nullptr || !is_connection(socket.get(), target.family)) return false;
    if (needed > 1 && !has_range(carried->file.file->get(), carried->file)) return false;
    carried->listener = static_cast<std::uint16_t>(target.listener);
    const unsigned known = target.listener < first_gone_listener ? target.listener : 0;
    const std::size_t before = connections_.open_batch_size();
    try {
        const bool closing = carried->stage != CarriedConnection::Stage::open;
        target.module->adopt(Accepted{std::move(socket), known, &*carried, closing}, carried->module_state);
        return true;
    } catch (...) {
        connections_.cut_open_batch(before);  // it may have been made already: the giver serves it on
        return false;
    }
}

}  // namespace drover
