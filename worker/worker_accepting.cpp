// How a worker accepts: from its own sockets and those it watches for others, up to its limits.
#include "core/base/system_error.h"
#include "worker/worker.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

namespace drover {

namespace {

// A handshake can be under way for about a minute (tcp_synack_retries, tcp(7)).
constexpr std::chrono::milliseconds watch_time{65'000};
// In a full pool: idle connections that make room at once, as a share of max_connections.
constexpr std::uint64_t displaced_share = 32;
constexpr std::chrono::milliseconds room_interval{100};

}  // namespace

// For a socket whose own worker is gone for good, or for a while: what waits in its queue, and handshakes
// that are under way.
void Worker::watch_listener(Message& message) {
    const std::uint32_t index = message.as<ListenerMessage>().index;
    if (state_ != WorkerState::serving || index >= listener_modules_.size()) return;
    std::erase_if(watched_, [](const auto& acceptor) { return acceptor->closed(); });
    watched_.push_back(make_acceptor(std::move(message.fds[0]), index));
    if (!at_limit_) watched_.back()->start();
    watched_.back()->close_after(watch_time);
}

void Worker::note_listener_end(const Message& message) {
    ending_listeners_.push_back(message.as<ListenerMessage>().index);
}

bool Worker::ends(unsigned listener) const noexcept {
    return std::ranges::find(ending_listeners_, listener) != ending_listeners_.end();
}

std::unique_ptr<Acceptor> Worker::make_acceptor(UniqueFd socket, unsigned listener) {
    return std::make_unique<Acceptor>(loop_, std::move(socket), listener,
                                      Acceptor::AcceptHandler::to<&Worker::on_accept>(this),
                                      Acceptor::ShortageHandler::to<&Worker::on_shortage>(this),
                                      Acceptor::ClosedHandler::to<&Worker::on_acceptor_closed>(this));
}

void Worker::add_listener(unsigned listener) {
    UniqueFd& socket = assignment_.listeners[listener];
    if (!pool().listen[listener].address.takes_datagrams()) {
        acceptors_.push_back(make_acceptor(std::move(socket), listener));
        return;
    }
    datagram_sockets_.push_back(make_datagram_socket(std::move(socket)));
    datagram_sockets_.back()->configure(datagram_settings(assignment_.configuration, listener));
}

void Worker::start_listeners() {
    for (const auto& socket : datagram_sockets_)
        socket->start();
    if (at_limit_) return;
    for (const auto& acceptor : acceptors_)
        acceptor->start();
}

void Worker::on_accept(Accepted accepted) {
    accepted_.add();
    try {
        Module* const module = module_of(accepted.listener);
        if (accepted.listener >= first_gone_listener)
            accepted.gone_listener = std::exchange(accepted.listener, 0);
        module->connection(std::move(accepted));
    } catch (...) {
        refused_.add();
        log_.error("connection refused: " + caught_text());
    }
    if (state_ != WorkerState::serving || connections_.size() < connection_limit_) return;
    note_room();
    if (!accepts_beyond_limit()) pause_accepting();
}

// While no other worker has room the next client comes in at the cost of idle ones, several at a time: each
// look for them is one at all connections.
bool Worker::accepts_beyond_limit() {
    if (!pool_full_) return false;
    if (connections_.size() == connection_limit_) return connections_.any_idle();
    const std::size_t displaced = connections_.displace(1 + connection_limit_ / displaced_share);
    displaced_.add(displaced);
    return displaced > 0;
}

void Worker::pause_accepting() {
    at_limit_ = true;
    for (const auto& acceptor : acceptors_)
        acceptor->pause();
    for (const auto& acceptor : watched_)
        acceptor->pause();
    if (pool_full_) room_timer_.start_once(room_interval);
}

void Worker::on_pool_full(bool full) {
    pool_full_ = full;
    if (state_ != WorkerState::serving) return;
    if (full && at_limit_) return on_room_time();
    const bool too_many = !full && !at_limit_ && connections_.size() >= connection_limit_;
    if (too_many) pause_accepting();
}

void Worker::on_room_time() {
    if (state_ != WorkerState::serving || !at_limit_ || !pool_full_) return;
    const bool makes_room = connections_.size() <= connection_limit_ && connections_.any_idle();
    makes_room ? resume_accepting() : room_timer_.start_once(room_interval);
}

void Worker::note_room() {
    room_.update(connections_.size(), connection_limit_);
}

void Worker::on_shortage(int error) {
    if (std::exchange(shortage_said_, true)) return;
    log_.error("cannot accept connections: " + std::string(std::strerror(error)) +
               "; trying again until there is room (said once)");
}

void Worker::on_connection_closed() {
    if (giver_ != nullptr) note_handed_over();
    if (state_ == WorkerState::draining) return leave_when_done();
    if (room_.full()) note_room();
    if (at_limit_ && connections_.size() < connection_limit_) resume_accepting();
}

void Worker::resume_accepting() {
    at_limit_ = false;
    room_timer_.stop();
    for (const auto& acceptor : acceptors_)
        acceptor->start();
    for (const auto& acceptor : watched_)
        acceptor->start();
}

}  // namespace drover
