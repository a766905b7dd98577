// A worker's two parts in a hand-over: giving its connections when it leaves, taking those of others.
#include "worker/worker.h"

#include <algorithm>

namespace drover {

namespace {

// A drain_timeout of 0 must not keep the loop busy.
constexpr std::chrono::milliseconds overdue_interval{100};

}  // namespace

void Worker::take_successor(Message& message) {
    if (giver_ == nullptr) {
        std::vector<std::string> names;
        for (const NamedListener& listener : intake_.listeners().all())
            names.push_back(listener.name);
        giver_ = std::make_unique<HandoverGiver>(loop_, connections_, names, intake_.listeners().gone());
    }
    giver_->add_receiver(std::move(message.fds[0]));
    if (state_ != WorkerState::draining || connections_.draining()) return;
    intake_.drop_givers();
    if (!giver_->started()) giver_->start();
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
