#include "core/process/process.h"

#include "core/base/exit_code.h"
#include "core/base/system_error.h"
#include "core/base/visible_text.h"
#include "core/loop/event_loop.h"
#include "core/process/lineage.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// There in a coverage build alone; _exit skips what would call it.
extern "C" void __gcov_dump() __attribute__((weak));

namespace drover {
namespace {

void reset_dispositions() noexcept {
    // Some numbers cannot be set (KILL, STOP, the two of the C library): they are the same in every process.
    for (int signal = 1; signal < NSIG; ++signal)
        ::signal(signal, SIG_DFL);
    // Both tell of a write that fails anyway: a reader who has gone, and a file at RLIMIT_FSIZE.
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);
}

void empty_signal_mask() noexcept {
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

std::vector<unsigned> sorted_above_standard(std::span<const int> fds) {
    std::vector<unsigned> sorted;
    for (const int fd : fds) {
        if (fd > STDERR_FILENO) sorted.push_back(static_cast<unsigned>(fd));
    }
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

bool close_all_but(std::span<const unsigned> sorted) noexcept {
    unsigned first = STDERR_FILENO + 1;
    for (const unsigned fd : sorted) {
        if (fd > first && ::close_range(first, fd - 1, 0) != 0) return false;
        first = std::max(first, fd + 1);
    }
    return ::close_range(first, std::numeric_limits<unsigned>::max(), 0) == 0;
}

// Whoever may read a terminal reads what is typed into it, controlling terminal or not.
void make_terminal_write_only(int fd) noexcept {
    if (::isatty(fd) == 0) return;
    char path[32];
    *fmt::format_to_n(path, sizeof path - 1, "/proc/self/fd/{}", fd).out = '\0';
    const UniqueFd own(::open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC));
    if (own) ::dup2(own.get(), fd);
}

// In a session of its own a process has no controlling terminal: neither does Ctrl-C reach it, nor can it
// open /dev/tty and type into it (TIOCSTI).
void become_independent() noexcept {
    ::setsid();
    join_lineage();
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
        make_terminal_write_only(fd);
}

int call_child_main(const std::function<int()>& child_main) noexcept {
    try {
        return child_main();
    } catch (const std::exception& error) {
        ::dprintf(STDERR_FILENO, "%s\n", visible_text(error.what()).c_str());
    } catch (...) {
        ::dprintf(STDERR_FILENO, "unknown exception\n");
    }
    return to_int(ExitCode::refused);
}

// In the child, with every signal blocked.
[[noreturn]] void run_child(const SpawnOptions& options, std::span<const unsigned> keep, int input,
                            const std::function<int()>& child_main) noexcept {
    // First, while all descriptors are open: the loop asks its kernel queue about each. It also puts the
    // actions back that its signals had before; they are reset after it.
    if (options.loop != nullptr) options.loop->abandon_in_child();
    reset_dispositions();
    __fpurge(stdout);  // what the parent has not written yet is the parent's to write
    int code = to_int(ExitCode::refused);
    if (input >= 0) ::dup2(input, STDIN_FILENO);
    if (!close_all_but(keep)) {
        ::dprintf(STDERR_FILENO, "close_range: %s\n", std::strerror(errno));
    } else {
        if (options.own_session) become_independent();
        if (!options.hold_signals) empty_signal_mask();
        code = call_child_main(child_main);
    }
    if (__gcov_dump != nullptr) __gcov_dump();
    ::_exit(code);
}

// By number: glibc 2.36 declares pidfd_open without C linkage.
int open_pidfd(pid_t pid) noexcept {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

void kill_and_reap(pid_t pid) noexcept {
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

// PTRACE_TRACEME made us its tracer: what it stands in is no standstill that SIGCONT would end, and no limit
// of ours reaches it there. `pid` may be one of its threads.
void kill_traced(pid_t pid) noexcept {
    ::kill(pid, SIGKILL);
}

ExitReport to_report(int status) noexcept {
    if (WIFSIGNALED(status)) return {.signal = WTERMSIG(status), .core_dumped = WCOREDUMP(status) != 0};
    return {.code = WEXITSTATUS(status)};
}

}  // namespace

std::string ExitReport::text() const {
    if (given_up) return "was killed and does not end: given up";
    if (signal == 0) return fmt::format("exited with code {}", code);
    const char* const name = ::sigabbrev_np(signal);
    return fmt::format("killed by signal {}{}{}", signal,
                       name != nullptr ? fmt::format(" (SIG{})", name) : "",
                       core_dumped ? ", core dumped" : "");
}

bool Process::signal(int signal) const noexcept {
    return ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) == 0;
}

void release_signals() noexcept {
    empty_signal_mask();
}

void hold_signals() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

std::optional<Standstill> next_standstill() noexcept {
    for (;;) {
        siginfo_t info{};
        if (::waitid(P_ALL, 0, &info, WSTOPPED | WCONTINUED | WNOHANG) != 0) {
            if (errno != EINTR) return std::nullopt;
        } else if (info.si_pid == 0) {
            return std::nullopt;
        } else if (info.si_code == CLD_TRAPPED) {
            kill_traced(info.si_pid);
        } else {
            return Standstill{.pid = info.si_pid, .stopped = info.si_code != CLD_CONTINUED};
        }
    }
}

std::optional<Reaped> reap_any() noexcept {
    for (;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, WNOHANG);
        if (pid > 0 && (WIFEXITED(status) || WIFSIGNALED(status)))
            return Reaped{.pid = pid, .report = to_report(status)};
        if (pid > 0) {
            kill_traced(pid);
        } else if (pid == 0 || errno != EINTR) {
            return std::nullopt;
        }
    }
}

Process spawn(const SpawnOptions& options, const std::function<int()>& child_main) {
    const std::vector<unsigned> keep = sorted_above_standard(options.keep_fds);
    // Here, where a shortage is one of the parent's.
    UniqueFd input;
    if (options.own_session)
        input = UniqueFd(check_call(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open", "/dev/null"));
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    // A signal that reached the child before its reset would run the parent's handlers there.
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = ::fork();
    if (pid == 0) run_child(options, keep, input.get(), child_main);
    const int fork_error = errno;
    UniqueFd pidfd;
    int pidfd_error = 0;
    if (pid > 0) {
        pidfd = UniqueFd(open_pidfd(pid));
        pidfd_error = errno;
        if (!pidfd) kill_and_reap(pid);
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) throw_error(fork_error, "fork");
    if (!pidfd) throw_error(pidfd_error, "pidfd_open");
    return {pid, std::move(pidfd)};
}

void reset_signals() noexcept {
    reset_dispositions();
    empty_signal_mask();
}

void open_standard_fds() noexcept {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        // The lowest free number is `fd`, as all below are open. Not close-on-exec: standard descriptors are
        // inherited.
        if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) return;
    }
}

}  // namespace drover
