#include "worker/connection.h"

#include "core/system_error.h"
#include "worker/handover_giver.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>

namespace drover {

// There may be a million idle ones.
static_assert(sizeof(Connection) <= 11 * sizeof(void*));

Connection::Connection(Services& services, Accepted accepted)
    : services_(services),
      socket_(std::move(accepted.socket)),
      listener_(static_cast<std::uint16_t>(accepted.gone_listener != 0 ? accepted.gone_listener
                                                                       : accepted.listener)) {
    if (accepted.carried != nullptr) carry_on(*accepted.carried);
}

Connection::~Connection() = default;

Address Connection::peer_address() const {
    try {
        return Address::peer_of(socket_.get()).unmapped();
    } catch (const std::system_error&) {
        return {};
    }
}

Address Connection::local_address() const {
    try {
        return Address::local_of(socket_.get()).unmapped();
    } catch (const std::system_error&) {
        return {};
    }
}

void Connection::start() {
    if (adopted_) return services_.connections.add_adopted(*this);
    services_.connections.add_fresh(*this);
}

// The first request is often here by now, and with it perhaps all that there will be: what ends with its
// first reply is never given to the poller.
void Connection::begin_fresh() {
    fresh_ = false;
    const auto done = [this] { return state_ == State::dead || state_ == State::moving || watched_; };
    if (done()) return;
    interest_ = Interest::read;
    if (state_ == State::open && output_ == nullptr && !paused_) read_input();
    if (done()) return;
    watch();
    update_interest();
}

void Connection::watch() {
    interest_ = Interest::read;
    watched_ = services_.connections.poller_.add(socket_.get(), interest_, *this);
    if (!watched_) end_unwatched();
}

// Without events it would be forgotten.
void Connection::end_unwatched() noexcept {
    services_.log.error(std::string("connection ended: epoll_ctl: ") + std::strerror(errno));
    abort();
}

void Connection::unwatch() noexcept {
    if (watched_) services_.connections.poller_.remove(socket_.get());
    watched_ = false;
}

// An error or a hang-up comes as readable and writable, also to a connection that waits for nothing.
void Connection::on_ready(Readiness readiness) {
    switch (state_) {
        case State::open:
        case State::flushing:
            if (output_ != nullptr) {
                if (readiness.writable) send_waiting();
            } else if (above_mark_) {
                relieve();
                deliver_resumed();
            } else if (interest_ == Interest::none) {
                retire();
            } else if (readiness.readable) {
                read_input();
            }
            break;
        case State::lingering:
            discard_input();
            break;
        case State::moving:
        case State::dead:
            break;
    }
}

void Connection::on_deadline() {
    expired_ = state_ == State::moving;
    if (expired_) return;
    services_.connections.in_event_ = true;
    if (state_ == State::open) {
        run_hook([this] { on_time_limit(); });
        deliver_resumed();
    } else if (state_ != State::flushing || output_ == nullptr || !on_flush_limit()) {
        retire();
    }
    services_.connections.delete_dead();
}

// A hook has the outbox to itself; what it asked for is carried out at its end. A hook of one connection may
// run inside a hook of another (resume_input): what the outer one has written so far then waits in the outer
// one's own output.
void Connection::begin_hook(Connection*& outer) {
    ConnectionList& list = services_.connections;
    outer = std::exchange(list.in_hook_, this);
    if (outer == nullptr || list.outbox_.empty()) return;
    outer->output_ = list.outbox_.take_rest();
    list.outbox_.clear();
}

void Connection::fail_hook() noexcept {
    services_.log.error("connection ended: " + caught_text());
    abort();
}

void Connection::end_hook(Connection* outer) noexcept {
    ConnectionList& list = services_.connections;
    if (state_ != State::dead) flush_outbox();
    on_flushed();
    list.outbox_.clear(ConnectionList::max_kept_outbox);
    list.in_hook_ = outer;
    settle();
}

void Connection::drain() {
    if (state_ != State::open || draining_) return;
    draining_ = true;
    run_hook([this] { on_drain(); });
    deliver_resumed();
}

// What has come and was not read yet would be lost.
bool Connection::expendable() const noexcept {
    if (state_ != State::open || fresh_ || input_ != nullptr || output_ != nullptr || !idle()) return false;
    char unread = 0;
    return ::recv(socket_.get(), &unread, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void Connection::read_input() {
    char* const scratch = services_.connections.scratch_.get();
    const ssize_t size = ::recv(socket_.get(), scratch, ConnectionList::scratch_size, MSG_DONTWAIT);
    if (size > 0) {
        services_.connections.received_.add(static_cast<std::uint64_t>(size));
        input_drained_ = static_cast<std::size_t>(size) < ConnectionList::scratch_size;
        deliver({scratch, static_cast<std::size_t>(size)});
        input_drained_ = false;
    } else if (size == 0) {
        end_of_input_ = true;
        run_hook([this] { on_end_of_input(); });
        deliver_resumed();
    } else if (!try_again(errno)) {
        retire();
    }
}

bool Connection::input_unread() const noexcept {
    char unread = 0;
    return ::recv(socket_.get(), &unread, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool Connection::deliverable() const noexcept {
    return state_ == State::open && input_ != nullptr && output_ == nullptr && !paused_ && !above_mark_ &&
           !delivering_ && !held_;
}

void Connection::deliver_resumed() {
    const bool resumed = resumed_;
    resumed_ = false;
    if (resumed && deliverable()) deliver({});
}

void Connection::deliver(std::string_view fresh) {
    if (input_ != nullptr) input_->append(fresh);
    resumed_ = false;
    for (;;) {
        delivering_ = true;
        std::size_t consumed = 0;
        run_hook([&] {
            const std::string_view input = input_ != nullptr ? std::string_view(*input_) : fresh;
            consumed = on_input(input);
            keep_input(input, consumed);
        });
        delivering_ = false;
        // When the socket took all of it at once no event will say that it is time to go on.
        const bool stopped_at_mark = above_mark_ && output_ == nullptr && input_ != nullptr;
        if (stopped_at_mark) relieve();
        // A module that consumes nothing waits for more, whatever it says.
        const bool goes_on = stopped_at_mark || (resumed_ && consumed > 0);
        resumed_ = false;
        if (!goes_on || !deliverable()) return;
    }
}

void Connection::keep_input(std::string_view input, std::size_t consumed) {
    if (consumed >= input.size()) {
        input_.reset();
    } else if (state_ != State::open) {
        linger_ = Linger::always;
    } else if (input_ != nullptr) {
        input_->erase(0, consumed);
    } else {
        input_ = std::make_unique<std::string>(input.substr(consumed));
    }
}

void Connection::pause_input() {
    paused_ = true;
    if (state_ == State::open && !services_.connections.in_hook(*this)) settle();
}

void Connection::resume_input() {
    paused_ = false;
    if (state_ != State::open) return;
    resumed_ = true;
    if (delivering_ || services_.connections.in_hook(*this)) return;
    deliver_resumed();
    settle();
}

// After anything that may have changed what the connection waits for.
void Connection::settle() {
    if (held_) return;
    if (output_ == nullptr && !services_.connections.in_hook(*this)) {
        if (state_ == State::flushing) finish_close();
        if (state_ == State::open && output_ends_ && !output_ended_) finish_output();
    }
    if (state_ != State::dead && state_ != State::moving) update_interest();
    if (services_.connections.giver_ != nullptr) services_.connections.giver_->look_again();
}

void Connection::update_interest() {
    Interest interest = Interest::read;
    if (output_ != nullptr || (above_mark_ && state_ == State::open)) {
        interest = Interest::write;
    } else if (state_ == State::open &&
               (end_of_input_ || paused_ || (input_ != nullptr && input_->size() >= max_kept_input))) {
        interest = Interest::none;
    }
    if (interest == interest_ || !watched_) return;
    interest_ = interest;
    if (!services_.connections.poller_.change(socket_.get(), interest, *this)) end_unwatched();
}

void Connection::close(Linger linger) {
    if (state_ != State::open) return;
    state_ = State::flushing;
    linger_ = linger;
    set_time_limit(flush_time);
    if (services_.connections.in_hook(*this)) return;
    if (input_ != nullptr) linger_ = Linger::always;
    settle();
}

void Connection::abort() noexcept {
    if (state_ != State::dead) retire();
}

// The output has left. Closing a socket that has unread input would reset it and take the reply along.
void Connection::finish_close() {
    input_.reset();
    if (end_of_input_) return retire();
    if (linger_ == Linger::if_unread) {
        if (input_drained_ || !input_unread()) return retire();
    }
    ::shutdown(socket_.get(), SHUT_WR);
    state_ = State::lingering;
    set_time_limit(linger_time);
}

void Connection::discard_input() {
    char* const scratch = services_.connections.scratch_.get();
    const ssize_t size = ::recv(socket_.get(), scratch, ConnectionList::scratch_size, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && !try_again(errno))) retire();
}

// Who gave the connection may have left SO_LINGER set: close(2) would then wait for the client.
void Connection::forbid_linger() noexcept {
    const linger none{};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

// A socket that somebody else holds, too, would haunt epoll if it were closed first.
void Connection::retire() noexcept {
    if (state_ == State::dead) return;
    HandoverGiver* const giver = services_.connections.giver_;
    if (state_ == State::moving && giver != nullptr) giver->forget(*this);
    // Before the acknowledgement both sides may have it, and nothing is to be said twice.
    if (state_ == State::moving || held_) on_disowned();
    state_ = State::dead;
    if (may_be_shared_) unwatch();
    if (adopted_) forbid_linger();
    watched_ = false;
    socket_.reset();
    clear_time_limit();
    services_.connections.bury(*this);
}

}  // namespace drover
