#include "worker/stream/connection_poller.h"

#include "core/base/system_error.h"

#include <array>
#include <cerrno>
#include <system_error>

#include <sys/epoll.h>

namespace drover {

namespace {

std::uint32_t events_of(Interest interest) noexcept {
    switch (interest) {
        case Interest::none:
            break;
        case Interest::read:
            return EPOLLIN;
        case Interest::write:
            return EPOLLOUT;
        case Interest::read_write:
            return EPOLLIN | EPOLLOUT;
    }
    return 0;
}

Readiness readiness_of(std::uint32_t events) noexcept {
    const bool failed = (events & (EPOLLERR | EPOLLHUP)) != 0;
    return {.readable = failed || (events & EPOLLIN) != 0, .writable = failed || (events & EPOLLOUT) != 0};
}

}  // namespace

ConnectionPoller::ConnectionPoller(EventLoop& loop, ReadyHandler on_ready, BatchHandler on_batch_end)
    : loop_(loop),
      on_ready_(on_ready),
      on_batch_end_(on_batch_end),
      epoll_(check_call(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

bool ConnectionPoller::add(int fd, Interest interest, Connection& connection) noexcept {
    try {
        if (!watch_.started()) {
            watch_.start(loop_, epoll_.get(), Interest::read,
                         FdWatch::Handler::to<&ConnectionPoller::on_events>(this));
        }
    } catch (const std::system_error& failure) {
        errno = failure.code().value();
        return false;
    }
    return control(EPOLL_CTL_ADD, fd, interest, connection);
}

bool ConnectionPoller::change(int fd, Interest interest, Connection& connection) noexcept {
    return control(EPOLL_CTL_MOD, fd, interest, connection);
}

bool ConnectionPoller::control(int operation, int fd, Interest interest, Connection& connection) noexcept {
    epoll_event event{};
    event.events = events_of(interest);
    event.data.ptr = &connection;
    return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

void ConnectionPoller::remove(int fd) noexcept {
    epoll_event ignored{};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &ignored);
}

void ConnectionPoller::on_events(Readiness) {
    std::array<epoll_event, max_batch> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), max_batch, 0);
    for (int index = 0; index < count; ++index) {
        const epoll_event& event = events[static_cast<std::size_t>(index)];
        on_ready_(*static_cast<Connection*>(event.data.ptr), readiness_of(event.events));
    }
    on_batch_end_();
}

}  // namespace drover
