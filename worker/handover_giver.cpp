#include "worker/handover_giver.h"

#include "worker/connection.h"

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

    bool empty() const noexcept { return connections.empty(); }
    bool full() const noexcept { return fds.size() + max_fds_a_record > max_message_fds; }
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
    channel.send_text(MessageType::handover_begin, owner.listener_names_);
}

void HandoverGiver::Receiver::on_message(Message& message) {
    if (message.type == MessageType::handover_ack) giver.acknowledge(*this, message.as<HandoverAck>());
}

void HandoverGiver::Receiver::on_closed(std::string_view) {
    lost = true;
    giver.take_back(*this);
}

HandoverGiver::HandoverGiver(EventLoop& loop, ConnectionList& connections, std::vector<std::string> listeners)
    : connections_(connections),
      loop_(loop),
      pump_timer_(loop, Timer::Handler::to<&HandoverGiver::pump>(this)) {
    for (const std::string& name : listeners)
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
    for (std::size_t i = 0; i < receivers_.size(); ++i) {
        Receiver& receiver = *receivers_[turn_++ % receivers_.size()];
        if (!receiver.lost && receiver.unacknowledged.size() < window) return &receiver;
    }
    return nullptr;
}

void HandoverGiver::pump() {
    std::erase_if(receivers_, [](const auto& receiver) { return receiver->lost; });
    connections_.begin_offering();
    while (Receiver* const receiver = next_receiver()) {
        Draft draft;
        const bool more = fill(draft);
        if (!draft.empty()) send(*receiver, draft);
        if (!more) return;
    }
}

// Puts movable connections into the draft until it is full. False when no connection is left to look at.
bool HandoverGiver::fill(Draft& draft) {
    // Evenly over the receivers also when there are few connections.
    const std::size_t share = connections_.size() / std::max<std::size_t>(receivers_.size(), 1) + 1;
    while (!draft.full() && draft.connections.size() < share) {
        Connection* const connection = connections_.next_to_offer();
        if (connection == nullptr) return false;
        CarriedConnection carried;
        if (!connection->begin_moving(carried)) continue;
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

void HandoverGiver::send(Receiver& receiver, Draft& draft) {
    constexpr std::size_t room = max_message_payload - sizeof(HandoverBatch);
    std::string_view records = draft.records;
    bool sent = true;
    for (; records.size() > room && sent; records.remove_prefix(room)) {
        sent = receiver.channel.send(MessageType::handover_part, as_bytes(records.substr(0, room)));
    }
    const HandoverBatch batch{++sequence_, static_cast<std::uint32_t>(draft.connections.size()), 0};
    std::string payload(reinterpret_cast<const char*>(&batch), sizeof(batch));
    payload.append(records);
    receiver.unacknowledged.push_back({batch.sequence, std::move(draft.connections)});
    // If it cannot be sent the channel closes itself from the loop, and the batch is taken back then.
    if (sent) receiver.channel.send(MessageType::handover_connections, as_bytes(payload), draft.fds);
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
            connection->stay();
            connection->drain();
        } else {
            ++given_;
            connection->moved();
        }
    }
    look_again();
}

void HandoverGiver::take_back(Receiver& receiver) {
    for (const Batch& batch : std::exchange(receiver.unacknowledged, {})) {
        for (Connection* const connection : batch.connections) {
            if (connection != nullptr) connection->stay();
        }
    }
    look_again();
}

void HandoverGiver::forget(const Connection& connection) noexcept {
    for (const auto& receiver : receivers_) {
        for (Batch& batch : receiver->unacknowledged) {
            std::ranges::replace(batch.connections, const_cast<Connection*>(&connection), nullptr);
        }
    }
}

}  // namespace drover
