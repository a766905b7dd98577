#include "worker/stream/bounded_sendfile.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr unsigned most_waits = 8;

volatile std::sig_atomic_t waited = 0;

int wait_signal() noexcept {
    return SIGRTMAX - 3;  // below those that others take first
}

void on_wait_signal(int) noexcept {
    waited = 1;
}

ssize_t send_copied(int socket, int file, off_t offset, std::size_t size) noexcept {
    std::array<char, 64 * 1024> bytes;
    const ssize_t read = ::pread(file, bytes.data(), std::min(size, bytes.size()), offset);
    if (read <= 0) return read;
    return ::send(socket, bytes.data(), static_cast<std::size_t>(read), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

BoundedSendfile::~BoundedSendfile() {
    if (state_ == State::bounded) ::timer_delete(timer_);
}

ssize_t BoundedSendfile::send(int socket, int file, off_t offset, std::size_t size) noexcept {
    if (state_ == State::unused) state_ = begin();
    if (state_ == State::copying) return send_copied(socket, file, offset, size);
    waited = 0;
    set_timer(longest_wait);
    const ssize_t sent = ::sendfile(socket, file, &offset, size);
    const int error = errno;
    set_timer(std::chrono::milliseconds(0));
    if (waited != 0) note_wait(socket);
    errno = error;
    return sent;
}

// A slow disk takes time, too, and so does a process that stands still: that happens now and then.
void BoundedSendfile::note_wait(int socket) noexcept {
    const bool blocks = (::fcntl(socket, F_GETFL) & O_NONBLOCK) == 0;
    if (!blocks && ++waits_ < most_waits) return;
    ::timer_delete(timer_);
    state_ = State::copying;
}

// Without SA_RESTART: the call must end.
BoundedSendfile::State BoundedSendfile::begin() noexcept {
    struct sigaction action {};
    action.sa_handler = on_wait_signal;
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, wait_signal());
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = wait_signal();
    event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
    const bool ready = ::sigaction(wait_signal(), &action, nullptr) == 0 &&
                       ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr) == 0 &&
                       ::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
    return ready ? State::bounded : State::copying;
}

// Again and again: the first signal may come before the call that it is to end. 0 stops it.
void BoundedSendfile::set_timer(std::chrono::milliseconds wait) noexcept {
    const timespec time{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(wait).count()};
    const itimerspec setting{.it_interval = time, .it_value = time};
    ::timer_settime(timer_, 0, &setting, nullptr);
}

}  // namespace drover
