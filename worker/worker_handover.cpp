// A worker's two parts in a hand-over: giving its connections when it leaves, taking those of others.
#include "worker/worker.h"

#include <algorithm>

namespace drover {

namespace {

// A drain_timeout of 0 must not keep the loop busy.
constexpr std::chrono::milliseconds overdue_interval{100};

}  // namespace

// A listener for datagrams has no connections to be handed to its module.
std::string Worker::listener_name(const ListenSettings& listen) {
    if (listen.address.takes_datagrams()) return listen.address.text();
    return listen.address.text() + " " + std::string(listen.module);
}

void Worker::take_successor(Message& message) {
    if (giver_ == nullptr) {
        std::vector<std::string> names;
        for (const ListenSettings& listen : pool().listen)
            names.push_back(listener_name(listen));
        giver_ = std::make_unique<HandoverGiver>(loop_, connections_, names, gone_listeners_);
    }
    giver_->add_receiver(std::move(message.fds[0]));
    if (state_ != WorkerState::draining || connections_.draining()) return;
    drop_predecessors();
    if (!giver_->started()) giver_->start();
}

// A connection that ends with its receiver makes the worker look at the list: the list is empty by then.
void Worker::drop_predecessors() {
    const auto gone = std::exchange(predecessors_, {});
}

bool Worker::handing_over() const noexcept {
    return giver_ != nullptr && giver_->started() && !connections_.draining();
}

void Worker::on_handover_timeout() {
    log_.warning("handover_timeout: " + std::to_string(connections_.size()) +
                 " connections have not been taken over; they drain");
    drain_connections();
}

// A connection that began to drain after the last look has its own drain_timeout.
void Worker::end_overdue() {
    const std::size_t ended = connections_.end_overdue();
    if (ended > 0)
        log_.warning("drain timeout: ending " + std::to_string(ended) + " connections that cannot move");
    ended_ += ended;
    drain_limit_->timer.start_once(
        std::max(std::chrono::milliseconds(pool().drain_timeout_ms), overdue_interval));
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
HandoverReceiver::Target Worker::find_target(std::string_view name) {
    const std::vector<ListenSettings>& listen = pool().listen;
    for (unsigned i = 0; i < listen.size(); ++i) {
        if (listener_name(listen[i]) == name) return {listener_modules_[i], i, listen[i].address.family()};
    }
    Module* const module = module_in(name);
    if (module == nullptr) return {};
    return {module, gone_listener(name), AF_UNSPEC};
}

Module* Worker::module_in(std::string_view listener_name) const {
    return modules_->find(listener_name.substr(listener_name.rfind(' ') + 1));
}

// Also finds the module of a listener that a hot reload took away: the module itself stays.
Module* Worker::module_of(unsigned listener) const {
    const bool gone = listener >= first_gone_listener;
    return gone ? module_in(gone_listeners_[listener - first_gone_listener]) : listener_modules_[listener];
}

// Its number; the same for the same name. Without one the connection cannot move again.
unsigned Worker::gone_listener(std::string_view name) {
    const auto known = std::ranges::find(gone_listeners_, name);
    const auto index = static_cast<unsigned>(known - gone_listeners_.begin());
    if (first_gone_listener + index >= no_listener) return no_listener;
    if (known == gone_listeners_.end()) gone_listeners_.emplace_back(name);
    return first_gone_listener + index;
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
