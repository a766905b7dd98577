#include "worker/stream/acceptor.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>

namespace drover {

Acceptor::Acceptor(EventLoop& loop, UniqueFd socket, unsigned listener, AcceptHandler on_accept,
                   ShortageHandler on_shortage, ClosedHandler on_closed)
    : loop_(loop),
      socket_(std::move(socket)),
      retry_(loop, Timer::Handler::to<&Acceptor::start>(this)),
      quiet_timer_(loop, Timer::Handler::to<&Acceptor::on_quiet>(this)),
      listener_(listener),
      on_accept_(on_accept),
      on_shortage_(on_shortage),
      on_closed_(on_closed) {}

void Acceptor::start() {
    retry_.stop();
    if (!socket_ || watch_.started()) return;
    watch_.start(loop_, socket_.get(), Interest::read, FdWatch::Handler::to<&Acceptor::on_ready>(this));
}

void Acceptor::pause() noexcept {
    retry_.stop();
    watch_.stop();
}

void Acceptor::close() noexcept {
    pause();
    quiet_timer_.stop();
    if (!socket_) return;
    socket_.reset();
    if (on_closed_) on_closed_();
}

void Acceptor::finish_when_quiet(std::chrono::milliseconds quiet) {
    quiet_end_ms_ = loop_.now_ms() + quiet_limit.count();
    quiet_ = quiet;
    start();
    quiet_timer_.start_once(quiet_);
}

void Acceptor::close_after(std::chrono::milliseconds time) {
    quiet_end_ms_ = 0;
    quiet_timer_.start_once(time);
}

void Acceptor::on_quiet() {
    finish();
}

void Acceptor::finish() {
    pause();
    if (socket_) make_non_blocking();
    for (int i = 0; i < finish_limit && socket_; ++i) {
        const Outcome outcome = accept_one();
        if (outcome == Outcome::empty || outcome == Outcome::shortage) break;
    }
    close();
}

// Any process that holds the listening socket can clear the flag for all.
void Acceptor::make_non_blocking() noexcept {
    ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
}

void Acceptor::on_ready(Readiness) {
    make_non_blocking();
    for (int i = 0; i < batch && watch_.started(); ++i) {
        switch (accept_one()) {
            case Outcome::accepted:
            case Outcome::skipped:
                break;
            case Outcome::empty:
                return;
            case Outcome::shortage:
                pause();
                retry_.start_once(retry_delay);
                return;
        }
    }
}

Acceptor::Outcome Acceptor::accept_one() {
    UniqueFd connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection) {
        const bool may_wait = quiet_timer_.started() && loop_.now_ms() < quiet_end_ms_;
        if (may_wait) quiet_timer_.start_once(quiet_);
        on_accept_(Accepted{std::move(connection), listener_});
        return Outcome::accepted;
    }
    switch (errno) {
        case EAGAIN:
            return Outcome::empty;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
        case EINVAL:  // somebody has shut it down: the master sees that, and makes it listen again
            on_shortage_(errno);
            return Outcome::shortage;
        case EBADF:
        case ENOTSOCK:
        case EOPNOTSUPP:
        case EFAULT:
            on_shortage_(errno);
            close();
            return Outcome::empty;
        default:
            // accept(2): errors of the new connection (ECONNABORTED, EPROTO, ...) concern it alone.
            return Outcome::skipped;
    }
}

}  // namespace drover
