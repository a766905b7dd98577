#include "worker/stream/connection_list.h"

#include "worker/stream/connection.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace drover {

ConnectionList::ConnectionList(EventLoop& loop, ClosedHandler on_closed)
    : loop_(loop),
      on_closed_(on_closed),
      delete_soon_(loop, Timer::Handler::to<&ConnectionList::delete_dead>(this)),
      begin_soon_(loop, Timer::Handler::to<&ConnectionList::begin_fresh>(this)),
      poller_(loop, ConnectionPoller::ReadyHandler::to<&ConnectionList::on_ready>(this),
              ConnectionPoller::BatchHandler::to<&ConnectionList::delete_dead>(this)),
      scratch_(new char[scratch_size]) {}

ConnectionList::~ConnectionList() {
    abort_all();
}

// One look at the clock for all that the poller gives at once.
void ConnectionList::begin_events() noexcept {
    if (in_event_) return;
    in_event_ = true;
    events_at_us_ = loop_.now_us();
}

void ConnectionList::on_ready(Connection& connection, Readiness readiness) {
    begin_events();
    connection.on_ready(readiness);
}

void ConnectionList::add(Connection& connection) noexcept {
    connection.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &connection;
    first_ = &connection;
    ++size_;
    active_.add(1);
}

void ConnectionList::add_fresh(Connection& connection) {
    fresh_.push_back(&connection);
    connection.fresh_ = true;
    add(connection);
    if (!begin_soon_.started()) begin_soon_.start_once(std::chrono::milliseconds(0));
}

// By index: a hook may open more.
void ConnectionList::begin_fresh() {
    begin_events();
    std::size_t index = 0;
    while (index < fresh_.size()) {
        Connection* const connection = fresh_[index++];
        if (connection == nullptr) continue;
        if (draining_) connection->drain();
        connection->begin_fresh();
    }
    fresh_.clear();
    delete_dead();
}

void ConnectionList::remove(Connection& connection) noexcept {
    if (walking_ == &connection) walking_ = connection.next_;
    if (offering_ == &connection) offering_ = connection.next_;
    if (connection.next_ != nullptr) connection.next_->previous_ = connection.previous_;
    (connection.previous_ != nullptr ? connection.previous_->next_ : first_) = connection.next_;
    --size_;
    active_.add(-1);
}

void ConnectionList::bury(Connection& connection) noexcept {
    remove(connection);
    if (connection.fresh_) std::ranges::replace(fresh_, &connection, nullptr);
    if (connection.watch_ == Connection::Watch::held) {
        for (Batch& batch : adopted_)
            std::ranges::replace(batch.connections, &connection, nullptr);
    }
    connection.next_ = dead_;
    dead_ = &connection;
    if (!in_event_ && !delete_soon_.started()) delete_soon_.start_once(std::chrono::milliseconds(0));
    if (on_closed_) on_closed_();
}

void ConnectionList::delete_dead() noexcept {
    in_event_ = false;
    while (dead_ != nullptr)
        delete std::exchange(dead_, dead_->next_);
}

void ConnectionList::drain() {
    draining_ = true;
    walking_ = first_;
    while (walking_ != nullptr) {
        Connection& connection = *walking_;
        walking_ = connection.next_;
        connection.drain();
    }
}

std::size_t ConnectionList::end_overdue() noexcept {
    std::size_t ended = 0;
    walking_ = first_;
    while (walking_ != nullptr) {
        Connection& connection = *walking_;
        walking_ = connection.next_;
        if (!connection.draining() || connection.closing()) continue;
        const bool told_just_now = connection.drain_ == Connection::Drain::told;
        connection.drain_ = Connection::Drain::overdue;
        if (told_just_now) continue;
        ++ended;
        connection.retire();
    }
    return ended;
}

bool ConnectionList::any_idle() const noexcept {
    for (const Connection* connection = first_; connection != nullptr; connection = connection->next_) {
        if (connection->has_deadline() && connection->idle()) return true;
    }
    return false;
}

std::size_t ConnectionList::displace(std::size_t most) {
    std::vector<std::pair<std::chrono::milliseconds, Connection*>> idle;
    for (Connection* connection = first_; connection != nullptr; connection = connection->next_) {
        const bool candidate = connection->has_deadline() && connection->idle();
        if (candidate) idle.emplace_back(connection->services_.deadlines.remaining(*connection), connection);
    }
    std::ranges::sort(idle);
    std::size_t ended = 0;
    for (const auto& each : idle) {
        if (ended == most) break;
        if (!each.second->expendable()) continue;
        each.second->close();
        ++ended;
    }
    return ended;
}

void ConnectionList::renumber_listeners(const std::vector<unsigned>& new_index) noexcept {
    for (Connection* connection = first_; connection != nullptr; connection = connection->next_) {
        const bool known = connection->listener_ < new_index.size();
        if (known) connection->listener_ = static_cast<std::uint16_t>(new_index[connection->listener_]);
    }
}

Connection* ConnectionList::next_to_offer() noexcept {
    return offering_ == nullptr ? nullptr : std::exchange(offering_, offering_->next_);
}

void ConnectionList::add_adopted(Connection& connection) {
    if (adopted_.empty() || adopted_.back().number != 0) adopted_.emplace_back();
    adopted_.back().connections.push_back(&connection);
    add(connection);
}

std::uint64_t ConnectionList::close_batch() {
    if (adopted_.empty() || adopted_.back().number != 0) adopted_.emplace_back();
    return adopted_.back().number = ++batches_;
}

std::size_t ConnectionList::open_batch_size() const noexcept {
    const bool open = !adopted_.empty() && adopted_.back().number == 0;
    return open ? adopted_.back().connections.size() : 0;
}

void ConnectionList::cut_open_batch(std::size_t count) noexcept {
    while (open_batch_size() > count) {
        Connection* const last = adopted_.back().connections.back();
        adopted_.back().connections.pop_back();
        if (last != nullptr) last->retire();
    }
}

std::vector<Connection*> ConnectionList::take_batch(std::uint64_t number) noexcept {
    const auto batch = std::ranges::find(adopted_, number, &Batch::number);
    if (batch == adopted_.end()) return {};
    std::vector<Connection*> connections = std::move(batch->connections);
    adopted_.erase(batch);
    return connections;
}

// A hook of one may end another, which then stays in memory until the loop's next turn.
std::size_t ConnectionList::begin_adopted(std::uint64_t number) {
    const std::vector<Connection*> connections = take_batch(number);
    events_at_us_ = loop_.now_us();
    for (Connection* const connection : connections) {
        if (connection == nullptr) continue;
        connection->begin_adopted();
        if (draining_) connection->drain();
    }
    return connections.size();
}

void ConnectionList::drop_adopted(std::uint64_t number) noexcept {
    for (Connection* const connection : take_batch(number)) {
        if (connection != nullptr) connection->retire();
    }
}

void ConnectionList::abort_all() noexcept {
    while (first_ != nullptr)
        first_->retire();
    delete_dead();
}

}  // namespace drover
