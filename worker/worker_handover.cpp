// A worker's two parts in a hand-over: giving its connections when it leaves, taking those of others.
#include "worker/worker.h"

#include <algorithm>

namespace drover {

// A udp listener has no connections to be handed to its module.
std::string Worker::listener_name(const ListenSettings& listen) {
    if (listen.address.is_udp()) return listen.address.text();
    return listen.address.text() + " " + std::string(listen.module);
}

void Worker::take_successor(Message& message) {
    if (giver_ == nullptr) {
        std::vector<std::string> names;
        for (const ListenSettings& listen : pool().listen)
            names.push_back(listener_name(listen));
        giver_ = std::make_unique<HandoverGiver>(loop_, connections_, std::move(names));
    }
    giver_->add_receiver(std::move(message.fds[0]));
    if (state_ != WorkerState::draining || connections_.draining()) return;
    predecessors_.clear();
    if (!giver_->started()) giver_->start();
}

// One that leaves itself takes none: the giver has, or gets, those that come after us.
void Worker::take_predecessor(Message& message) {
    if (state_ == WorkerState::draining && giver_ != nullptr) return;
    std::erase_if(predecessors_, [](const auto& predecessor) { return predecessor->ended(); });
    predecessors_.push_back(std::make_unique<HandoverReceiver>(
        loop_, connections_, std::move(message.fds[0]),
        [this](std::string_view name) { return find_target(name); },
        HandoverReceiver::EndHandler::to<&Worker::on_predecessor_end>(this),
        HandoverReceiver::RoomHandler::to<&Worker::room_for_connections>(this)));
}

// A listener that this worker does not have any more may still have a module here that serves its
// connections.
HandoverReceiver::Target Worker::find_target(std::string_view name) const {
    const std::vector<ListenSettings>& listen = pool().listen;
    for (unsigned i = 0; i < listen.size(); ++i) {
        if (listener_name(listen[i]) == name) return {listener_modules_[i], i, listen[i].address.family()};
    }
    return {modules_->find(name.substr(name.rfind(' ') + 1)), 0, AF_UNSPEC};
}

void Worker::on_predecessor_end() {
    if (state_ == WorkerState::draining) leave_when_done();
}

void Worker::note_handed_over() {
    const std::uint64_t given = giver_->given();
    if (given == given_) return;
    handed_over_.add(given - given_);
    given_ = given;
    last_given_ms_ = loop_.now_ms();
}

// The master says it in the log, with the other things that it knows of this worker.
void Worker::report_handover(std::uint64_t ended) {
    if (given_ == 0 || channel_ == nullptr) return;
    const auto time_ms = static_cast<std::uint64_t>(last_given_ms_ - drain_began_ms_);
    channel_->send(MessageType::handed_over, HandoverResult{given_, ended, time_ms});
}

}  // namespace drover
