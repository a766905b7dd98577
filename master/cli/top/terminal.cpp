#include "master/cli/top/terminal.h"

#include "core/base/system_error.h"
#include "core/process/process.h"
#include "master/cli/top/keys.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::top {

namespace {

// xterm's, which all others know: the alternate screen, the cursor, changes that are shown at once.
constexpr std::string_view enter_screen = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view leave_screen = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr std::string_view begin_frame = "\x1b[?2026h";
constexpr std::string_view end_frame = "\x1b[?2026l";
// What the guard is told.
constexpr char taken = 't';
constexpr char given_back = 'g';
constexpr char goodbye = 'q';
constexpr int rest_of_key_ms = 30;  // over a slow line the bytes of one key may come apart

sigset_t watched_signals() noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH})
        sigaddset(&set, signal);
    return set;
}

// A failure to write is ignored: nobody could see the text.
void write_out(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        const ssize_t size = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
}

void restore(const termios& before) noexcept {
    write_out(leave_screen);
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

// The child: its signals stay blocked, so that it may write to the terminal from the background.
int guard(int end, const termios& before) {
    for (char last = given_back;;) {
        char word = 0;
        const ssize_t size = ::read(end, &word, 1);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0 && last == taken) restore(before);
        if (size <= 0 || word == goodbye) return 0;
        last = word;
    }
}

}  // namespace

Terminal::Terminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0 || ::isatty(STDOUT_FILENO) == 0)
        throw std::runtime_error("top needs a terminal; with --once it prints what it would show");
    int ends[2];
    check_call(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    const UniqueFd guard_end(ends[0]);
    guarded_.reset(ends[1]);
    const int kept = guard_end.get();
    guard_ =
        spawn({.keep_fds = {&kept, 1}, .hold_signals = true, .own_session = false}, [kept, before = before_] {
            return guard(kept, before);
        }).pid();
    ::setpgid(guard_, guard_);  // what kills our process group leaves it alive
    const sigset_t set = watched_signals();
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_.reset(check_call(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
    take();
}

Terminal::~Terminal() {
    give_back();
    tell_guard(goodbye);
    guarded_.reset();
    while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
    }
    const sigset_t set = watched_signals();
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

// Signals of keys stay: Ctrl-C ends, Ctrl-Z suspends.
void Terminal::take() {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    // In the background this stops us (SIGTTOU) until the terminal is ours; the guard is told afterwards.
    check_call(::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw), "tcsetattr");
    tell_guard(taken);
    write_out(enter_screen);
    shown_.clear();
}

void Terminal::give_back() noexcept {
    restore(before_);
}

// The signal's own action, which the kernel leaves out where no shell could ever let us go on (an orphaned
// process group): SIGSTOP would stop us for ever.
void Terminal::suspend() {
    give_back();
    tell_guard(given_back);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    ::raise(SIGTSTP);
    ::sigprocmask(SIG_UNBLOCK, &stop, nullptr);
    ::sigprocmask(SIG_BLOCK, &stop, nullptr);
    take();
}

void Terminal::tell_guard(char word) noexcept {
    while (::send(guarded_.get(), &word, 1, MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

Size Terminal::size() const noexcept {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0)
        return {};
    return {.columns = window.ws_col, .lines = window.ws_row};
}

// A line is erased before it is written: after its last cell the cursor still stands on it.
void Terminal::show(const std::vector<std::string>& lines) {
    std::string frame(begin_frame);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i < shown_.size() && shown_[i] == lines[i]) continue;
        frame += fmt::format("\x1b[{};1H\x1b[K{}", i + 1, lines[i]);
    }
    if (lines.size() < shown_.size()) frame += fmt::format("\x1b[{};1H\x1b[J", lines.size() + 1);
    frame += end_frame;
    write_out(frame);
    shown_ = lines;
}

Terminal::Event Terminal::wait(std::chrono::milliseconds time, int watched) {
    if (const std::optional<Key> key = take_key(unread_)) return {.key = key};
    std::array<pollfd, 3> ready = {pollfd{signals_.get(), POLLIN, 0}, pollfd{STDIN_FILENO, POLLIN, 0},
                                   pollfd{watched, POLLIN, 0}};
    if (::poll(ready.data(), ready.size(), static_cast<int>(std::max<long>(time.count(), 0))) <= 0) return {};
    if (ready[0].revents != 0) return on_signal();
    if (ready[1].revents != 0) return on_input();
    return {.other = true};
}

Terminal::Event Terminal::on_signal() {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) return {};
    switch (info.ssi_signo) {
        case SIGWINCH:
        case SIGCONT:
            write_out("\x1b[2J");
            shown_.clear();
            return {};
        case SIGTSTP:
            suspend();
            return {};
        default:
            return {.end = true};
    }
}

Terminal::Event Terminal::on_input() {
    std::array<char, 256> bytes;
    const ssize_t size = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) return {};
    if (size <= 0) return {.end = true};
    unread_.append(bytes.data(), static_cast<std::size_t>(size));
    pollfd more{STDIN_FILENO, POLLIN, 0};
    const bool begins_key = unread_ == "\x1b" && ::poll(&more, 1, rest_of_key_ms) > 0;
    return begins_key ? on_input() : Event{.key = take_key(unread_)};
}

}  // namespace drover::top
