#include "core/loop/event_loop.h"

#include "core/base/check.h"
#include "core/base/system_error.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <utility>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

namespace drover {
namespace {

static_assert(sizeof(event) <= sizeof(EventStorage) && alignof(event) <= alignof(EventStorage));

event* as_event(EventStorage& storage) noexcept {
    return reinterpret_cast<event*>(storage.bytes);
}

timeval to_timeval(std::chrono::milliseconds duration) noexcept {
    const auto count = std::max<std::chrono::milliseconds::rep>(duration.count(), 0);
    return {.tv_sec = count / 1000, .tv_usec = (count % 1000) * 1000};
}

short to_libevent(Interest interest) noexcept {
    switch (interest) {
        case Interest::none:
            break;
        case Interest::read:
            return EV_READ | EV_PERSIST;
        case Interest::write:
            return EV_WRITE | EV_PERSIST;
        case Interest::read_write:
            return EV_READ | EV_WRITE | EV_PERSIST;
    }
    return 0;
}

// Whatever fails is thrown from here with its errno; what libevent calls fatal leaves no other way to be
// heard.
void print_fatal(int severity, const char* message) {
    if (severity == EVENT_LOG_ERR) std::fprintf(stderr, "libevent: %s\n", message);
}

// libevent would call exit(), which in a child runs what belongs to the parent.
void abort_on_fatal(int) {
    std::abort();
}

// Libevent makes these, too, and knows no way but to abort where it gets none.
void check_descriptors_are_free() {
    const UniqueFd queue(check_call(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
    int ends[2];
    check_call(::pipe2(ends, O_CLOEXEC), "pipe2");
    const UniqueFd read_end(ends[0]);
    const UniqueFd write_end(ends[1]);
}

}  // namespace

EventLoop::EventLoop() {
    check_descriptors_are_free();
    event_set_log_callback(print_fatal);
    event_set_fatal_callback(abort_on_fatal);
    const std::unique_ptr<event_config, void (*)(event_config*)> config(event_config_new(),
                                                                        event_config_free);
    if (!config) throw std::bad_alloc();
    // No changelist (EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST): it goes wrong with duplicated descriptors. No
    // cached time: a timer that is started late in a long callback would end early. No
    // precise timers: they cost a timerfd_settime(2) in every round of the loop.
    event_config_set_flag(
        config.get(), EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NO_CACHE_TIME);
    event_config_require_features(config.get(), EV_FEATURE_O1);
    base_ = event_base_new_with_config(config.get());
    if (base_ == nullptr) throw std::runtime_error("event loop: no epoll descriptor");
}

EventLoop::~EventLoop() {
    if (base_ != nullptr) event_base_free(base_);
}

void EventLoop::run() {
    // libevent forgets a break that came before its loop.
    if (!std::exchange(stopped_, false)) dispatch(EVLOOP_NO_EXIT_ON_EMPTY);
}

void EventLoop::run_once(std::chrono::milliseconds max_wait) {
    if (max_wait.count() <= 0) return dispatch(EVLOOP_ONCE | EVLOOP_NONBLOCK);
    event wake_up;
    event_assign(
        &wake_up, base_, -1, 0, [](int, short, void*) {}, nullptr);
    const std::unique_ptr<event, int (*)(event*)> registration(&wake_up, event_del);
    const timeval wait = to_timeval(max_wait);
    check_call(event_add(&wake_up, &wait), "event_add");
    dispatch(EVLOOP_ONCE);
}

void EventLoop::dispatch(int flags) {
    const int result = event_base_loop(base_, flags);
    stopped_ = false;
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    if (result < 0) throw std::runtime_error("event loop: dispatching failed, or run() inside run()");
}

void EventLoop::stop() noexcept {
    stopped_ = true;
    event_base_loopbreak(base_);
}

void EventLoop::abandon_in_child() noexcept {
    // Not even freed: that would delete the registrations in the parent's epoll instance, or, after
    // event_reinit, write to every event and so copy most of the parent's heap. The base's descriptors are
    // closed with all others (spawn).
    base_ = nullptr;
}

std::int64_t EventLoop::now_us() const noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

std::int64_t EventLoop::coarse_now_ms() const noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void EventLoop::keep_exception() noexcept {
    if (!failure_) failure_ = std::current_exception();
    stop();
}

void FdWatch::start(EventLoop& loop, int fd, Interest interest, Handler handler) {
    stop();
    loop_ = &loop;
    fd_ = fd;
    handler_ = handler;
    try {
        add(interest);
    } catch (...) {
        stop();
        throw;
    }
}

void FdWatch::want(Interest interest) {
    DROVER_CHECK(started());
    if (interest == interest_) return;
    if (interest_ != Interest::none) event_del(as_event(event_));
    interest_ = Interest::none;
    add(interest);
}

void FdWatch::add(Interest interest) {
    if (interest == Interest::none) return;
    errno = 0;
    if (event_assign(as_event(event_), loop_->base_, fd_, to_libevent(interest), dispatch, this) != 0 ||
        event_add(as_event(event_), nullptr) != 0) {
        throw_error(errno != 0 ? errno : EINVAL, "event_add", "descriptor " + std::to_string(fd_));
    }
    interest_ = interest;
}

void FdWatch::stop() noexcept {
    if (interest_ != Interest::none) event_del(as_event(event_));
    interest_ = Interest::none;
    loop_ = nullptr;
    fd_ = -1;
}

// The handlers below may destroy the watch that calls them: all that is needed afterwards is copied first.

void FdWatch::dispatch(int, short what, void* self) {
    const auto* const watch = static_cast<FdWatch*>(self);
    EventLoop* const loop = watch->loop_;
    const Handler handler = watch->handler_;
    try {
        handler({.readable = (what & EV_READ) != 0, .writable = (what & EV_WRITE) != 0});
    } catch (...) {
        loop->keep_exception();
    }
}

Timer::Timer(EventLoop& loop, Handler handler) noexcept : loop_(loop), handler_(handler) {}

void Timer::start_once(std::chrono::milliseconds after) {
    start(after, false);
}

void Timer::start_every(std::chrono::milliseconds period) {
    // libevent does not repeat a period of zero.
    start(std::max(period, std::chrono::milliseconds(1)), true);
}

void Timer::start(std::chrono::milliseconds after, bool repeat) {
    if (started_ && repeat_ != repeat) stop();
    if (!started_) {
        event_assign(as_event(event_), loop_.base_, -1, repeat ? short{EV_PERSIST} : short{0}, dispatch,
                     this);
    }
    const timeval wait = to_timeval(after);
    check_call(event_add(as_event(event_), &wait), "event_add", "timer");
    repeat_ = repeat;
    started_ = true;
}

void Timer::stop() noexcept {
    if (started_) event_del(as_event(event_));
    started_ = false;
}

void Timer::dispatch(int, short, void* self) {
    auto* const timer = static_cast<Timer*>(self);
    EventLoop& loop = timer->loop_;
    const Handler handler = timer->handler_;
    if (!timer->repeat_) timer->started_ = false;
    try {
        handler();
    } catch (...) {
        loop.keep_exception();
    }
}

SignalWatch::SignalWatch(EventLoop& loop, int signal, Handler handler) : loop_(loop), handler_(handler) {
    errno = 0;
    if (event_assign(as_event(event_), loop.base_, signal, EV_SIGNAL | EV_PERSIST, dispatch, this) != 0 ||
        event_add(as_event(event_), nullptr) != 0) {
        throw_error(errno != 0 ? errno : EINVAL, "event_add", "signal " + std::to_string(signal));
    }
}

SignalWatch::~SignalWatch() {
    event_del(as_event(event_));
}

void SignalWatch::dispatch(int signal, short, void* self) {
    const auto* const watch = static_cast<SignalWatch*>(self);
    EventLoop& loop = watch->loop_;
    const Handler handler = watch->handler_;
    try {
        handler(signal);
    } catch (...) {
        loop.keep_exception();
    }
}

BlockedSignals::BlockedSignals(EventLoop& loop, std::span<const int> signals, Handler handler)
    : handler_(handler) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals)
        sigaddset(&set, signal);
    fd_ = UniqueFd(check_call(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
    watch_.start(loop, fd_.get(), Interest::read, FdWatch::Handler::to<&BlockedSignals::on_ready>(this));
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
}

BlockedSignals::~BlockedSignals() {
    watch_.stop();
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void BlockedSignals::on_ready(Readiness) {
    signalfd_siginfo info{};
    const Handler handler = handler_;
    if (::read(fd_.get(), &info, sizeof info) == sizeof info) handler(static_cast<int>(info.ssi_signo));
}

}  // namespace drover
