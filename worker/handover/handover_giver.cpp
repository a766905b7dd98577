#include "worker/handover/handover_giver.h"

#include "worker/stream/connection.h"
#include "worker/stream/connection_list.h"

#include <algorithm>
#include <array>
#include <span>

namespace drover {

namespace {

std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

}  // namespace

// The fds are borrowed from the connections, which keep them until they are acknowledged.
struct HandoverGiver::Draft {
    static constexpr std::size_t max_fds_a_record = 2;

    std::vector<Connection*> connections;
    std::vector<int> fds;
    std::string records;
    bool broken = false;  // one of the connections has ended meanwhile, by the hook of another

    bool empty() const noexcept { return connections.empty(); }
    bool full(std::size_t most_fds) const noexcept {
        return !empty() && fds.size() + max_fds_a_record > most_fds;
    }
    void add(Connection& connection, const CarriedConnection& carried) {
        append_record(records, carried);
        connections.push_back(&connection);
        fds.push_back(connection.fd());
        if (carried.file.length > 0) fds.push_back(carried.file.file->get());
    }
};

HandoverGiver::Receiver::Receiver(HandoverGiver& owner, EventLoop& loop, UniqueFd socket)
    : giver(owner),
      channel(loop, std::move(socket), Channel::MessageHandler::to<&Receiver::on_message>(this),
              Channel::ClosedHandler::to<&Receiver::on_closed>(this)) {
    channel.set_room_handler(Callback<void()>::to<&Receiver::on_room>(this));
    channel.send_text(MessageType::handover_begin, owner.listener_names_);
}

void HandoverGiver::Receiver::on_room() {
    waits_to_send = false;
    if (large) giver.send_large(*this);
    giver.look_again();
}

void HandoverGiver::Receiver::on_message(Message& message) {
    if (message.type == MessageType::handover_ack) giver.acknowledge(*this, message.as<HandoverAck>());
    if (message.type == MessageType::handover_full) giver.hold_back(*this, message.as<HandoverFull>());
}

void HandoverGiver::Receiver::on_closed(std::string_view) {
    lost = true;
    // One that speaks no version of ours takes nothing.
    if (!channel.peer_gone() && channel.settled()) giver.leave_to(*this);
    giver.take_back(*this);
}

HandoverGiver::HandoverGiver(EventLoop& loop, ConnectionList& connections,
                             const std::vector<std::string>& listeners, const std::vector<std::string>& gone)
    : connections_(connections),
      loop_(loop),
      first_gone_name_(listeners.size()),
      pump_timer_(loop, Timer::Handler::to<&HandoverGiver::pump>(this)),
      rest_timer_(loop, Timer::Handler::to<&HandoverGiver::look_again>(this)) {
    for (const auto* names : {&listeners, &gone})
        for (const std::string& name : *names)
            listener_names_.append(name).push_back('\n');
}

HandoverGiver::~HandoverGiver() {
    connections_.set_giver(nullptr);
}

void HandoverGiver::add_receiver(UniqueFd socket) {
    receivers_.push_back(std::make_unique<Receiver>(*this, loop_, std::move(socket)));
    if (started_) look_again();
}

void HandoverGiver::start() {
    started_ = true;
    connections_.set_giver(this);
    pump();
}

void HandoverGiver::look_again() {
    if (!pump_timer_.started()) pump_timer_.start_once(std::chrono::milliseconds(0));
}

// The next one in turn that may be sent more.
HandoverGiver::Receiver* HandoverGiver::next_receiver() noexcept {
    const std::int64_t now = loop_.now_ms();
    for (std::size_t i = 0; i < receivers_.size(); ++i) {
        Receiver& receiver = *receivers_[turn_++ % receivers_.size()];
        if (receiver.rests_until_ms && *receiver.rests_until_ms <= now) receiver.rests_until_ms.reset();
        const bool busy = receiver.waits_to_send || receiver.large || receiver.rests_until_ms;
        if (!receiver.lost && !busy && receiver.unacknowledged.size() < window) return &receiver;
    }
    return nullptr;
}

void HandoverGiver::pump() {
    std::erase_if(receivers_, [](const auto& receiver) { return receiver->lost; });
    connections_.begin_offering();
    give();
    const auto rests = [](const auto& receiver) { return receiver->rests_until_ms.has_value(); };
    if (std::ranges::any_of(receivers_, rests) && !rest_timer_.started()) rest_timer_.start_once(rest_time);
}

void HandoverGiver::give() {
    while (Receiver* const receiver = next_receiver()) {
        draft_ = std::make_unique<Draft>();
        const bool more = fill(*draft_, receiver->most);
        const std::unique_ptr<Draft> draft = std::move(draft_);
        if (draft->broken) keep(draft->connections);
        // Connections that could not be sent are offered to the next receiver.
        const bool sent = draft->empty() || (!draft->broken && send(*receiver, *draft));
        if (!sent) connections_.begin_offering();
        if (sent && !more) return;
    }
}

// Puts movable connections into the draft until it is full. False when no connection is left to look at.
bool HandoverGiver::fill(Draft& draft, std::size_t most_fds) {
    // Evenly over the receivers also when there are few connections.
    const std::size_t share = connections_.size() / std::max<std::size_t>(receivers_.size(), 1) + 1;
    while (!draft.broken && !draft.full(most_fds) && draft.connections.size() < share) {
        Connection* const connection = connections_.next_to_offer();
        if (connection == nullptr) return false;
        CarriedConnection carried;
        if (!connection->begin_moving(carried)) continue;
        if (carried.listener >= first_gone_listener)
            carried.listener =
                static_cast<std::uint16_t>(carried.listener - first_gone_listener + first_gone_name_);
        const std::size_t records_before = draft.records.size();
        const std::size_t fds_before = draft.fds.size();
        draft.add(*connection, carried);
        if (draft.records.size() + sizeof(HandoverBatch) <= max_message_payload) continue;
        if (draft.connections.size() == 1) return true;  // sent in parts
        draft.records.resize(records_before);
        draft.fds.resize(fds_before);
        draft.connections.pop_back();
        connection->stay();
        connections_.offer_again(*connection);
        return true;
    }
    return true;
}

// False when nothing of it has left: its connections are served on here meanwhile.
bool HandoverGiver::send(Receiver& receiver, Draft& draft) {
    if (draft.records.size() + sizeof(HandoverBatch) > max_message_payload) {
        receiver.large = Large{draft.connections.front(), std::move(draft.records), 0, std::move(draft.fds)};
        send_large(receiver);
        return true;
    }
    const HandoverBatch batch{sequence_ + 1, static_cast<std::uint32_t>(draft.connections.size()), 0};
    std::string payload(reinterpret_cast<const char*>(&batch), sizeof(batch));
    payload.append(draft.records);
    if (receiver.channel.try_send(MessageType::handover_connections, as_bytes(payload), draft.fds) !=
        Channel::TrySend::sent) {
        receiver.waits_to_send = true;
        receiver.most = 1;  // what is only tried should not disturb many
        keep(draft.connections);
        return false;
    }
    receiver.unacknowledged.push_back({++sequence_, std::move(draft.connections)});
    receiver.most = std::min(2 * receiver.most, max_message_fds);
    return true;
}

void HandoverGiver::send_large(Receiver& receiver) {
    if (send_rest(receiver)) {
        receiver.large.reset();
    } else {
        receiver.waits_to_send = true;
    }
}

// False when the channel takes no more now, or is about to close: then the connection is taken back.
bool HandoverGiver::send_rest(Receiver& receiver) {
    constexpr std::size_t room = max_message_payload - sizeof(HandoverBatch);
    Large& large = *receiver.large;
    const auto send_now = [&](MessageType type, std::string_view bytes, std::span<const int> fds = {}) {
        return receiver.channel.try_send(type, as_bytes(bytes), fds) == Channel::TrySend::sent;
    };
    if (large.connection == nullptr) return send_now(MessageType::handover_part, {});
    const std::string_view record = large.record;
    for (; record.size() - large.sent > room; large.sent += room) {
        if (!send_now(MessageType::handover_part, record.substr(large.sent, room))) return false;
    }
    const HandoverBatch batch{sequence_ + 1, 1, 0};
    std::string payload(reinterpret_cast<const char*>(&batch), sizeof(batch));
    payload.append(record.substr(large.sent));
    if (!send_now(MessageType::handover_connections, payload, large.fds)) return false;
    receiver.unacknowledged.push_back({++sequence_, {large.connection}});
    return true;
}

void HandoverGiver::acknowledge(Receiver& receiver, const HandoverAck& ack) {
    if (receiver.unacknowledged.empty() || receiver.unacknowledged.front().sequence != ack.sequence) return;
    const Batch batch = std::move(receiver.unacknowledged.front());
    receiver.unacknowledged.pop_front();
    for (std::size_t i = 0; i < batch.connections.size(); ++i) {
        Connection* const connection = batch.connections[i];
        if (connection == nullptr) continue;
        const bool refused = (ack.refused[i / 8] & (1U << (i % 8))) != 0;
        if (refused) {
            connection->stay_for_good();
        } else {
            ++given_;
            connection->moved();
        }
    }
    look_again();
}

// The next batch is one that fits; when even a single connection does not, the receiver is left alone for a
// while.
void HandoverGiver::hold_back(Receiver& receiver, const HandoverFull& refusal) {
    if (receiver.unacknowledged.empty() || receiver.unacknowledged.front().sequence != refusal.sequence)
        return;
    const Batch batch = std::move(receiver.unacknowledged.front());
    receiver.unacknowledged.pop_front();
    const std::size_t room = std::min<std::size_t>(refusal.room, batch.connections.size() / 2);
    receiver.most = std::clamp<std::size_t>(room, 1, max_message_fds);
    if (room == 0) receiver.rests_until_ms = loop_.now_ms() + rest_time.count();
    keep(batch.connections);
    look_again();
}

void HandoverGiver::keep(const std::vector<Connection*>& connections) {
    for (Connection* const connection : connections) {
        if (connection != nullptr) connection->stay();
    }
}

// To a receiver that lives, the end of the channel is the end of this worker: it keeps what was sent to it.
void HandoverGiver::leave_to(Receiver& receiver) {
    for (const Batch& batch : std::exchange(receiver.unacknowledged, {})) {
        for (Connection* const connection : batch.connections) {
            if (connection == nullptr) continue;
            ++given_;
            connection->moved();
        }
    }
}

void HandoverGiver::take_back(Receiver& receiver) {
    if (receiver.large) keep({receiver.large->connection});
    receiver.large.reset();
    for (const Batch& batch : std::exchange(receiver.unacknowledged, {}))
        keep(batch.connections);
    look_again();
}

void HandoverGiver::forget(const Connection& connection) noexcept {
    if (draft_ != nullptr) {
        const auto drafted = std::ranges::find(draft_->connections, &connection);
        if (drafted != draft_->connections.end()) {
            *drafted = nullptr;
            draft_->broken = true;
        }
    }
    for (const auto& receiver : receivers_) {
        if (receiver->large && receiver->large->connection == &connection)
            receiver->large->connection = nullptr;
        for (Batch& batch : receiver->unacknowledged) {
            std::ranges::replace(batch.connections, const_cast<Connection*>(&connection), nullptr);
        }
    }
}

}  // namespace drover
