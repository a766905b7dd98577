#include "tests/support/child.h"

#include "core/base/system_error.h"

#include <csignal>
#include <stdexcept>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::test {

std::string to_text(Exit end) {
    if (end.signal != 0) return "killed by signal " + std::to_string(end.signal);
    return "exit code " + std::to_string(end.code);
}

UniqueFd open_pidfd(pid_t pid) {
    return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

bool wait_gone(const UniqueFd& pidfd, const Deadline& deadline) {
    if (!pidfd) return true;
    pollfd waiting{pidfd.get(), POLLIN, 0};
    return poll(&waiting, 1, deadline.remaining_ms()) > 0;
}

Child::Child(pid_t pid) : pid_(pid), pidfd_(open_pidfd(pid)) {
    if (!pidfd_) throw_errno("pidfd_open");
}

Child& Child::operator=(Child&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    return *this;
}

Child::~Child() {
    if (!pidfd_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

namespace {

void take_user(uid_t user) {
    if (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0) _exit(126);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    result.reserve(texts.size() + 1);
    for (std::string& text : texts)
        result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

}  // namespace

// All memory is allocated before the fork: another thread of the test may hold the allocator's lock.
Child Child::start(const std::vector<std::string>& arguments, const ChildOptions& options) {
    std::vector<std::string> argument_texts = arguments;
    std::vector<std::string> environment_texts = options.environment;
    for (char** entry = environ; *entry != nullptr; ++entry)
        environment_texts.emplace_back(*entry);
    const std::vector<char*> argv = pointers(argument_texts);
    const std::vector<char*> environment = pointers(environment_texts);
    const UniqueFd null(check_call(open("/dev/null", O_RDWR | O_CLOEXEC), "open", "/dev/null"));

    const pid_t pid = check_call(fork(), "fork");
    if (pid == 0) {
        dup2(options.input >= 0 ? options.input : null.get(), 0);
        if (options.output >= 0) dup2(options.output, 1);
        if (options.errors >= 0) dup2(options.errors, 2);
        if (options.user != 0) take_user(options.user);
        if (options.before_exec) options.before_exec();
        execvpe(argv[0], argv.data(), environment.data());
        _exit(127);
    }
    return Child(pid);
}

void Child::signal(int signal) const {
    if (pidfd_) ::kill(pid_, signal);
}

Exit Child::wait_exit(const Deadline& deadline) {
    if (!wait_gone(pidfd_, deadline))
        throw std::runtime_error("process " + std::to_string(pid_) + " has not ended");
    siginfo_t info{};
    check_call(waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED), "waitid");
    pidfd_.reset();
    if (info.si_code == CLD_EXITED) return {info.si_status, 0};
    return {-1, info.si_status};
}

CommandResult run_command(const std::vector<std::string>& arguments, ChildOptions options,
                          const Deadline& deadline) {
    const auto make_file = [](const char* name) {
        return UniqueFd(check_call(memfd_create(name, MFD_CLOEXEC), "memfd_create"));
    };
    const auto contents = [](const UniqueFd& file) {
        std::string text(
            static_cast<std::size_t>(check_call(static_cast<int>(lseek(file.get(), 0, SEEK_END)), "lseek")),
            '\0');
        const ssize_t size = pread(file.get(), text.data(), text.size(), 0);
        text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        return text;
    };
    const UniqueFd output = make_file("output");
    const UniqueFd errors = make_file("errors");
    options.output = output.get();
    options.errors = errors.get();
    Child child = Child::start(arguments, options);
    const Exit end = child.wait_exit(deadline);
    return {end, contents(output), contents(errors)};
}

}  // namespace drover::test
