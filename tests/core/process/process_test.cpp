#include "core/process/process.h"

#include "core/loop/event_loop.h"
#include "tests/core/process/pipe.h"
#include "tests/support/open_fds.h"
#include "tests/support/run_until.h"

#include <cerrno>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;
using namespace std::chrono_literals;
using drover::test::count_open_fds;
using drover::test::Pipe;
using drover::test::run_until;

namespace {

// Waits for the end of a child through its pidfd and reaps it.
ExitReport wait_for(const Process& process) {
    pollfd entry{.fd = process.pidfd(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&entry, 1, 20'000) == 1);
    const std::optional<Reaped> reaped = reap_any();
    REQUIRE(reaped);
    CHECK(reaped->pid == process.pid());
    return reaped->report;
}

ExitReport run_child(const std::function<int()>& child_main, const SpawnOptions& options = {}) {
    return wait_for(spawn(options, child_main));
}

bool has_default_action(int signal) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    return action.sa_handler == SIG_DFL;
}

bool mask_is_empty() {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return sigisemptyset(&mask) != 0;
}

}  // namespace

TEST_CASE("process: children that stop and go on are told, each change once") {
    CHECK_FALSE(next_standstill());
    const Process child = spawn({}, [] {
        for (;;)
            ::pause();
        return 0;
    });
    const auto next = [] {
        std::optional<Standstill> change;
        while (!(change = next_standstill()))
            ::sched_yield();
        return *change;
    };
    child.signal(SIGSTOP);
    Standstill change = next();
    CHECK(change.pid == child.pid());
    CHECK(change.stopped);
    CHECK_FALSE(next_standstill());
    child.signal(SIGCONT);
    change = next();
    CHECK(change.pid == child.pid());
    CHECK_FALSE(change.stopped);
    child.signal(SIGKILL);
    int status = 0;
    CHECK(::waitpid(child.pid(), &status, 0) == child.pid());
    CHECK_FALSE(next_standstill());
}

TEST_CASE("process: a child that makes us its tracer and stops is killed, and has ended only then") {
    for (const bool looks_for_ends : {true, false}) {
        CAPTURE(looks_for_ends);
        const Process child = spawn({}, [] {
            ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            ::raise(SIGUSR1);
            return 0;
        });
        siginfo_t info{};
        REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WSTOPPED | WNOWAIT) == 0);
        CHECK(info.si_code == CLD_TRAPPED);
        if (!looks_for_ends) CHECK_FALSE(next_standstill());
        std::optional<Reaped> reaped;
        while (!(reaped = reap_any()))
            ::sched_yield();
        CHECK(reaped->pid == child.pid());
        CHECK(reaped->report.signal == SIGKILL);
    }
}

TEST_CASE("process: exit codes, signals and core dumps are told apart") {
    CHECK(run_child([] { return 0; }).clean());
    const ExitReport code = run_child([] { return 7; });
    CHECK(code.code == 7);
    CHECK(code.signal == 0);
    CHECK_FALSE(code.clean());
    CHECK(code.text() == "exited with code 7");
    const ExitReport killed = run_child([] { return ::raise(SIGKILL); });
    CHECK(killed.signal == SIGKILL);
    CHECK_FALSE(killed.core_dumped);
    CHECK(killed.text() == "killed by signal 9 (SIGKILL)");
    CHECK(ExitReport{.code = 0, .signal = SIGSEGV, .core_dumped = true}.text() ==
          "killed by signal 11 (SIGSEGV), core dumped");
    CHECK(ExitReport{.code = 0, .signal = 40, .core_dumped = false}.text() == "killed by signal 40");
}

TEST_CASE("process: an exception out of the child's main ends it with its text on stderr") {
    Pipe pipe;
    const int keep[] = {pipe.write_end.get()};
    const ExitReport report = run_child(
        [&]() -> int {
            ::dup2(keep[0], STDERR_FILENO);
            throw std::runtime_error("no such port");
        },
        {.loop = nullptr, .keep_fds = keep});
    CHECK(report.text() == "exited with code 1");
    CHECK(pipe.read_all() == "no such port\n");
    CHECK(run_child([]() -> int {
              ::close(STDERR_FILENO);
              throw 3;
          }).code == 1);
}

TEST_CASE("process: a child starts with an empty mask and default actions whatever its parent had") {
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto old_action = ::signal(SIGUSR1, [](int) { ::_exit(99); });
    const auto old_hup = ::signal(SIGHUP, SIG_IGN);
    const ExitReport state = run_child([] {
        if (!mask_is_empty()) return 1;
        for (const int signal : {SIGTERM, SIGUSR1, SIGHUP, SIGCHLD, SIGSEGV}) {
            if (!has_default_action(signal)) return 2;
        }
        return has_default_action(SIGPIPE) || has_default_action(SIGXFSZ) ? 3 : 0;
    });
    CHECK(state.text() == "exited with code 0");
    CHECK(run_child([] { return ::raise(SIGTERM); }).signal == SIGTERM);
    CHECK(run_child([] { return ::raise(SIGUSR1); }).signal == SIGUSR1);

    sigset_t after;
    ::pthread_sigmask(SIG_SETMASK, &before, &after);
    CHECK(sigismember(&after, SIGTERM) == 1);
    CHECK(sigismember(&after, SIGINT) == 0);
    ::signal(SIGUSR1, old_action);
    ::signal(SIGHUP, old_hup);
}

TEST_CASE("process: a signal in the first moment of a child does not run its parent's handler") {
    const ExitReport report = run_child([] {
        ::signal(SIGUSR1, [](int) { ::_exit(99); });
        ::pthread_atfork(nullptr, nullptr, [] { ::raise(SIGUSR1); });
        const Process child = spawn({}, [] { return 0; });
        int status = 0;
        if (::waitpid(child.pid(), &status, 0) != child.pid()) return 1;
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1 ? 0 : 2;
    });
    CHECK(report.text() == "exited with code 0");
}

TEST_CASE("process: reset_signals undoes what was inherited through exec") {
    const ExitReport report = run_child([] {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        ::signal(SIGCHLD, SIG_IGN);
        ::signal(SIGTERM, SIG_IGN);
        ::signal(SIGPIPE, SIG_DFL);
        reset_signals();
        if (!mask_is_empty()) return 1;
        if (!has_default_action(SIGCHLD) || !has_default_action(SIGTERM)) return 2;
        return has_default_action(SIGPIPE) || has_default_action(SIGXFSZ) ? 3 : 0;
    });
    CHECK(report.text() == "exited with code 0");
}

TEST_CASE("process: a child keeps the standard descriptors and those named, in any order") {
    std::vector<Pipe> pipes(6);
    const int keep[] = {pipes[4].write_end.get(), pipes[1].read_end.get(), pipes[4].write_end.get(),
                        STDERR_FILENO};
    const ExitReport report = run_child(
        [&] {
            if (count_open_fds() != 5) return 1;
            for (const int fd : {0, 1, 2, keep[0], keep[1]}) {
                if (::fcntl(fd, F_GETFD) < 0) return 2;
            }
            return 0;
        },
        {.loop = nullptr, .keep_fds = keep});
    CHECK(report.text() == "exited with code 0");
    CHECK(run_child([] { return static_cast<int>(count_open_fds()); }).code == 3);
}

TEST_CASE("process: a child has a session of its own and no input unless told otherwise") {
    CHECK(run_child([] {
              if (::getsid(0) != ::getpid() || ::getpgrp() != ::getpid()) return 1;
              struct stat null {};
              struct stat input {};
              const bool known = ::stat("/dev/null", &null) == 0 && ::fstat(STDIN_FILENO, &input) == 0;
              return known && input.st_rdev == null.st_rdev ? 0 : 2;
          }).clean());
    const pid_t session = ::getsid(0);
    const pid_t group = ::getpgrp();
    CHECK(run_child([&] { return ::getsid(0) == session && ::getpgrp() == group ? 0 : 1; },
                    {.loop = nullptr, .keep_fds = {}, .own_session = false})
              .clean());
}

TEST_CASE("process: what the parent has not written yet is not written by the child too") {
    Pipe pipe;
    // The parent of this test is a child itself: its stdout can be a pipe without touching ours.
    const int keep[] = {pipe.write_end.get()};
    const ExitReport report = run_child(
        [&keep] {
            ::dup2(keep[0], STDOUT_FILENO);
            std::printf("parent;");
            const Process child = spawn({}, [] {
                std::printf("child;");
                std::fflush(stdout);
                return 0;
            });
            int status = 0;
            if (::waitpid(child.pid(), &status, 0) != child.pid() || status != 0) return 1;
            std::fflush(stdout);
            return 0;
        },
        {.loop = nullptr, .keep_fds = keep});
    CHECK(report.text() == "exited with code 0");
    CHECK(pipe.read_all() == "child;parent;");
}

TEST_CASE("process: two hundred children that end together are all reaped") {
    const std::size_t before = count_open_fds();
    {
        Pipe hold;
        const int keep[] = {hold.read_end.get()};
        EventLoop loop;
        std::map<pid_t, int> codes;
        auto reap = [&](int) {
            while (const std::optional<Reaped> reaped = reap_any())
                codes[reaped->pid] = reaped->report.code;
        };
        const SignalWatch watch(loop, SIGCHLD, SignalWatch::Handler::of(&reap));
        std::vector<Process> children;
        for (int i = 0; i < 200; ++i) {
            children.push_back(spawn({.loop = &loop, .keep_fds = keep}, [&keep, i] {
                char byte = 0;
                return ::read(keep[0], &byte, 1) == 0 ? i : 255;
            }));
        }
        CHECK(codes.empty());
        hold.write_end.reset();
        REQUIRE(run_until(loop, [&] { return codes.size() == children.size(); }));
        for (int i = 0; i < 200; ++i)
            CHECK(codes.at(children[static_cast<std::size_t>(i)].pid()) == i);
        CHECK_FALSE(reap_any());
    }
    CHECK(count_open_fds() == before);
}

TEST_CASE("process: a strange child is reaped as well") {
    const pid_t stranger = ::fork();
    if (stranger == 0) ::_exit(5);
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(stranger), &info, WEXITED | WNOWAIT) == 0);
    const std::optional<Reaped> reaped = reap_any();
    REQUIRE(reaped);
    CHECK(reaped->pid == stranger);
    CHECK(reaped->report.code == 5);
    CHECK_FALSE(reap_any());
}

TEST_CASE("process: signals go through the pidfd and never to a stranger") {
    CHECK_FALSE(Process());
    CHECK_FALSE(Process().signal(SIGTERM));
    const Process child = spawn({}, [] {
        for (;;)
            ::pause();
        return 0;
    });
    CHECK(child);
    CHECK((::fcntl(child.pidfd(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(child.signal(0));
    CHECK(child.signal(SIGTERM));
    CHECK(wait_for(child).signal == SIGTERM);
    CHECK_FALSE(child.signal(SIGTERM));
    CHECK_FALSE(child.signal(0));
}

TEST_CASE("process: a failed spawn throws, leaves no child and restores the mask") {
    const ExitReport report = run_child([] {
        // No number is left for a pidfd, while fork needs none.
        const rlimit limit{.rlim_cur = 3, .rlim_max = 3};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
        try {
            const Process child = spawn({}, [] { return 0; });
            return 2;
        } catch (const std::system_error& error) {
            if (error.code().value() != EMFILE) return 3;
        }
        if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) return 4;
        return mask_is_empty() ? 0 : 5;
    });
    CHECK(report.text() == "exited with code 0");
}

TEST_CASE("process: closed standard descriptors are filled with /dev/null") {
    const ExitReport report = run_child([] {
        ::close(STDIN_FILENO);
        ::close(STDERR_FILENO);
        open_standard_fds();
        if (count_open_fds() != 3) return 1;
        char byte = 0;
        if (::read(STDIN_FILENO, &byte, 1) != 0 || ::write(STDERR_FILENO, "x", 1) != 1) return 2;
        if ((::fcntl(STDIN_FILENO, F_GETFD) & FD_CLOEXEC) != 0) return 3;
        open_standard_fds();
        return count_open_fds() == 3 ? 0 : 4;
    });
    CHECK(report.text() == "exited with code 0");
}
