#include "worker/handover_receiver.h"

#include "worker/connection.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

namespace drover {

HandoverReceiver::HandoverReceiver(EventLoop& loop, ConnectionList& connections, UniqueFd socket,
                                   FindTarget find_target, EndHandler on_end)
    : connections_(connections),
      find_target_(std::move(find_target)),
      on_end_(on_end),
      channel_(loop, std::move(socket), Channel::MessageHandler::to<&HandoverReceiver::on_message>(this),
               Channel::ClosedHandler::to<&HandoverReceiver::on_closed>(this)) {}

void HandoverReceiver::on_message(Message& message) {
    switch (message.type) {
        case MessageType::handover_begin:
            return take_names(message.text());
        case MessageType::handover_part:
            if (parts_.size() + message.payload.size() <= 2 * max_carried_bytes)
                parts_.append(message.text());
            return;
        case MessageType::handover_connections:
            return take_batch(message);
        default:
            return;
    }
}

void HandoverReceiver::on_closed(std::string_view) {
    if (on_end_) on_end_();
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
    if (message.payload.size() < sizeof(batch)) return;
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
    // From the moment the acknowledgement is queued the connections are ours; without it they are the
    // giver's.
    if (channel_.send(MessageType::handover_ack, ack)) {
        taken_ += connections_.begin_adopted();
    } else {
        connections_.drop_adopted();
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
    if (target.module == nullptr) return false;
    try {
        target.module->adopt(Accepted{std::move(socket), target.listener, &*carried}, carried->module_state);
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

}  // namespace drover
