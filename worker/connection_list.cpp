#include "worker/connection_list.h"

#include "worker/connection.h"

#include <algorithm>
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
        if (connection != nullptr) connection->begin_fresh();
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
    adopted_.push_back(&connection);
    add(connection);
}

std::size_t ConnectionList::begin_adopted() {
    const std::vector<Connection*> adopted = std::exchange(adopted_, {});
    events_at_us_ = loop_.now_us();
    for (Connection* const connection : adopted) {
        connection->begin_adopted();
        if (draining_) connection->drain();
    }
    return adopted.size();
}

void ConnectionList::drop_adopted() noexcept {
    for (Connection* const connection : std::exchange(adopted_, {}))
        connection->retire();
}

void ConnectionList::abort_all() noexcept {
    while (first_ != nullptr)
        first_->retire();
    delete_dead();
}

}  // namespace drover
