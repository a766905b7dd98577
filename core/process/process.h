// Process is a child known by pid and pidfd; spawn() is the only fork in the program. A pidfd, unlike a pid,
// can never come to mean a stranger (pidfd_open(2)), and a Process may also be held for one that is not our
// child. Owned by whoever supervises it: destroying it forgets the process and neither signals nor reaps it.
// Runs in: the master (and tests).
#pragma once

#include "core/base/unique_fd.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace drover {

class EventLoop;

// How a process ended (waitpid(2)).
struct ExitReport {
    int code = 0;    // exit status when `signal` is 0
    int signal = 0;  // the signal that killed it, or 0
    bool core_dumped = false;
    bool given_up =
        false;  // it has not ended: KILL does not reach it where the kernel lets it wait (state D)

    bool clean() const noexcept { return signal == 0 && code == 0; }
    // "exited with code 1", "killed by signal 11 (SIGSEGV), core dumped", "was killed and does not end: given
    // up"
    std::string text() const;
};

class Process {
  public:
    Process() noexcept = default;
    Process(pid_t pid, UniqueFd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}

    pid_t pid() const noexcept { return pid_; }
    int pidfd() const noexcept { return pidfd_.get(); }
    explicit operator bool() const noexcept { return static_cast<bool>(pidfd_); }

    // False when nothing was delivered: the process has ended and was reaped (ESRCH). One that has ended and
    // still waits to be reaped takes it silently (kill(2)).
    bool signal(int signal) const noexcept;

  private:
    pid_t pid_ = 0;
    UniqueFd pidfd_;
};

struct Reaped {
    pid_t pid = 0;
    ExitReport report;
};

// Reaps one ended child, whoever it is; no value when all are reaped. One SIGCHLD can stand for many deaths:
// call it in a loop. As PID 1 it also returns strangers: an unknown pid is no error. A child that has made us
// its tracer (ptrace(2), PTRACE_TRACEME) and stands still is killed; its end is returned later. So does
// next_standstill().
std::optional<Reaped> reap_any() noexcept;

// A child was stopped by a signal (SIGSTOP, a terminal), or goes on.
struct Standstill {
    pid_t pid = 0;
    bool stopped = false;
};

// The next such change that was not told yet; SIGCHLD announces them, too. No value when all have been told.
std::optional<Standstill> next_standstill() noexcept;

struct SpawnOptions {
    EventLoop* loop = nullptr;      // the parent's loop, abandoned in the child; may be null
    std::span<const int> keep_fds;  // stay open in the child, beside 0 to 2; everything else is closed
    // The child begins with every signal blocked, until it calls release_signals(): its handlers stand by
    // then.
    bool hold_signals = false;
    // One of our lineage (core/process/lineage.h), without a terminal: a session of its own, /dev/null as
    // standard input, and a terminal on 1 or 2 can be written to alone.
    bool own_session = true;
};

// Forks. In the child: signals were blocked across the fork, all dispositions and the mask are reset (SIGPIPE
// and SIGXFSZ stay ignored), `loop` is abandoned, all descriptors but 0 to 2 and keep_fds are closed; then
// `child_main` runs and its result is given to _exit. An exception out of child_main is printed to stderr and
// ends it with ExitCode::refused. In the parent: returns the process; throws std::system_error when fork or
// pidfd_open fails (no child is left). `child_main` must take all that it needs from its captures, by value
// or by reference into memory that the fork copies.
Process spawn(const SpawnOptions& options, const std::function<int()>& child_main);

void release_signals() noexcept;

// The other end: from here on no signal but KILL changes how this process ends. Its handlers may go.
void hold_signals() noexcept;

// At program start: empties the signal mask, gives every signal its default action (a parent may have blocked
// SIGTERM or ignored SIGCHLD; both survive exec) and ignores SIGPIPE and SIGXFSZ.
void reset_signals() noexcept;

// At program start: opens /dev/null on any of 0 to 2 that is closed, so that no later descriptor takes their
// place.
void open_standard_fds() noexcept;

// What ps(1) shows. init_process_title, called in main, remembers the memory of the arguments and moves the
// environment out of it; set_process_title overwrites it, argv's strings included, with "PROGRAM: TITLE" or
// "PROGRAM VERSION: TITLE" (the program's name is argv[0]'s last part; of its version 31 bytes), cut to its
// size.
void init_process_title(int argc, char** argv, std::string_view version = {}) noexcept;
void set_process_title(const std::string& title);

}  // namespace drover
