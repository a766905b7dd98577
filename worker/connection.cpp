#include "worker/connection.h"

#include "core/system_error.h"
#include "worker/handover_giver.h"

#include <algorithm>
#include <cerrno>
#include <exception>

#include <sys/socket.h>

namespace drover {

namespace {

// Above this the shared outbox gives its memory back after a large reply.
constexpr std::size_t outbox_keep = 256 * 1024;

bool try_again(int error) {
    return error == EAGAIN || error == EINTR;
}

// Bytes that the socket took; 0 when it would block, -1 when the connection is broken.
ssize_t send_some(int fd, std::string_view bytes) noexcept {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && try_again(errno)) return 0;
    return sent;
}

}  // namespace

Connection::Connection(Services& services, Accepted accepted)
    : services_(services),
      socket_(std::move(accepted.socket)),
      listener_(static_cast<std::uint16_t>(accepted.listener)) {
    if (accepted.carried != nullptr) carry_on(*accepted.carried);
}

Connection::~Connection() = default;

void Connection::start() {
    if (adopted_) return services_.connections.add_adopted(*this);
    watch_.start(services_.loop, socket_.get(), Interest::read,
                 FdWatch::Handler::to<&Connection::on_ready>(this));
    services_.connections.add(*this);
}

void Connection::on_ready(Readiness readiness) {
    services_.connections.in_event_ = true;
    switch (state_) {
        case State::open:
        case State::flushing:
            if (output_ != nullptr) {
                if (readiness.writable) send_waiting();
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
    services_.connections.delete_dead();
}

void Connection::on_deadline() {
    services_.connections.in_event_ = true;
    if (state_ == State::open) {
        run_hook([this] { on_time_limit(); });
    } else {
        retire();
    }
    services_.connections.delete_dead();
}

// Runs a hook with the outbox to itself and carries out what it asked for. A hook of one connection may run
// inside a hook of another (resume_input): what the outer one has written so far then waits in the outer
// one's own buffer.
template <class Hook>
void Connection::run_hook(Hook hook) noexcept {
    ConnectionList& list = services_.connections;
    Connection* const outer = std::exchange(list.in_hook_, this);
    if (outer != nullptr && !list.outbox_.empty()) {
        outer->output_ = std::make_unique<Buffer>(Buffer{std::move(list.outbox_), 0});
        list.outbox_.clear();
    }
    try {
        hook();
    } catch (const std::exception& failure) {
        services_.log.error(std::string("connection ended: ") + failure.what());
        abort();
    }
    if (state_ != State::dead) flush_outbox();
    list.outbox_.clear();
    list.in_hook_ = outer;
    settle();
}

void Connection::drain() {
    if (state_ != State::open || draining_) return;
    draining_ = true;
    run_hook([this] { on_drain(); });
}

void Connection::read_input() {
    char* const scratch = services_.connections.scratch_.get();
    const ssize_t size = ::recv(socket_.get(), scratch, ConnectionList::scratch_size, 0);
    if (size > 0) {
        deliver({scratch, static_cast<std::size_t>(size)});
    } else if (size == 0) {
        end_of_input_ = true;
        run_hook([this] { on_end_of_input(); });
    } else if (!try_again(errno)) {
        retire();
    }
}

void Connection::deliver(std::string_view fresh) {
    if (input_ != nullptr) input_->append(fresh);
    bool stopped_at_mark = false;
    do {
        run_hook([&] {
            const std::string_view input = input_ != nullptr ? std::string_view(*input_) : fresh;
            keep_input(input, on_input(input));
            stopped_at_mark = services_.connections.outbox_.size() >= output_high_mark;
        });
        // When the socket took all of it at once no event will say that it is time to go on.
    } while (stopped_at_mark && state_ == State::open && output_ == nullptr && input_ != nullptr);
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

void Connection::resume_input() {
    if (state_ != State::open || input_ == nullptr || output_ != nullptr) return;
    if (services_.connections.in_hook_ == this) return;
    deliver({});
}

void Connection::write(std::string_view bytes) {
    if (state_ != State::open || bytes.empty()) return;
    if (output_ != nullptr) {
        output_->bytes.append(bytes);
        return;
    }
    ConnectionList& list = services_.connections;
    if (list.in_hook_ == this) {
        list.outbox_.append(bytes);
        return;
    }
    const ssize_t sent = send_some(socket_.get(), bytes);
    if (sent < 0) {
        retire();
    } else if (static_cast<std::size_t>(sent) < bytes.size()) {
        output_ =
            std::make_unique<Buffer>(Buffer{std::string(bytes.substr(static_cast<std::size_t>(sent))), 0});
        update_interest();
    }
}

bool Connection::writable() const noexcept {
    if (state_ != State::open || output_ != nullptr) return false;
    const ConnectionList& list = services_.connections;
    return list.in_hook_ != this || list.outbox_.size() < output_high_mark;
}

void Connection::flush_outbox() {
    std::string& outbox = services_.connections.outbox_;
    if (outbox.empty()) return;
    const ssize_t sent = send_some(socket_.get(), outbox);
    if (sent < 0) {
        retire();
    } else if (static_cast<std::size_t>(sent) < outbox.size()) {
        output_ = std::make_unique<Buffer>(Buffer{outbox.substr(static_cast<std::size_t>(sent)), 0});
    }
    if (outbox.capacity() > outbox_keep) outbox = std::string();
}

void Connection::send_waiting() {
    const std::string_view unsent = output_->unsent();
    const ssize_t sent = send_some(socket_.get(), unsent);
    if (sent < 0) return retire();
    output_->sent += static_cast<std::size_t>(sent);
    if (static_cast<std::size_t>(sent) < unsent.size()) return;
    output_.reset();
    if (state_ == State::open) run_hook([this] { on_sent(); });
    if (state_ == State::open && output_ == nullptr && input_ != nullptr) deliver({});
    settle();
}

// After anything that may have changed what the connection waits for.
void Connection::settle() {
    if (state_ == State::flushing && output_ == nullptr && services_.connections.in_hook_ != this)
        finish_close();
    if (state_ != State::dead && state_ != State::moving) update_interest();
    if (services_.connections.giver_ != nullptr) services_.connections.giver_->look_again();
}

void Connection::update_interest() {
    Interest interest = Interest::read;
    if (output_ != nullptr) {
        interest = Interest::write;
    } else if (end_of_input_ || (input_ != nullptr && input_->size() >= max_kept_input)) {
        interest = Interest::none;
    }
    watch_.want(interest);
}

void Connection::close(Linger linger) {
    if (state_ != State::open) return;
    state_ = State::flushing;
    linger_ = linger;
    set_time_limit(flush_time);
    if (services_.connections.in_hook_ == this) return;
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
        char unread = 0;
        if (::recv(socket_.get(), &unread, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) return retire();
    }
    ::shutdown(socket_.get(), SHUT_WR);
    state_ = State::lingering;
    set_time_limit(linger_time);
}

void Connection::discard_input() {
    char* const scratch = services_.connections.scratch_.get();
    const ssize_t size = ::recv(socket_.get(), scratch, ConnectionList::scratch_size, 0);
    if (size == 0 || (size < 0 && !try_again(errno))) retire();
}

// Out of the loop first, then closed: a descriptor closed while another process holds it would haunt epoll.
void Connection::retire() noexcept {
    if (state_ == State::dead) return;
    HandoverGiver* const giver = services_.connections.giver_;
    if (state_ == State::moving && giver != nullptr) giver->forget(*this);
    state_ = State::dead;
    watch_.stop();
    socket_.reset();
    clear_time_limit();
    services_.connections.bury(*this);
}

}  // namespace drover
