// Terminal is the screen and keyboard of the command line, taken over while it lives: an alternate screen,
// keys as they are typed. Whatever happens it comes back as it was: at the end, when a signal stops or ends
// the process, and, by a child that waits for just that (the guard), when the process is killed. Special
// state: suspended, when the terminal is somebody else's and the guard leaves it alone. One at a time.
// Runs in: the command line.
#pragma once

#include "core/base/unique_fd.h"
#include "master/cli/top/screen.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>
#include <termios.h>

namespace drover::top {

class Terminal {
  public:
    // On standard input and output. Throws std::runtime_error when they are no terminal.
    Terminal();
    ~Terminal();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    Size size() const noexcept;
    // Writes what has changed since the last time.
    void show(const std::vector<std::string>& lines);

    struct Event {
        std::optional<Key> key = {};
        bool end = false;    // a signal asks for it, or the terminal is gone
        bool other = false;  // `watched` is readable
    };
    // What happens first; nothing at all when the time is over. `watched`: -1 for none.
    Event wait(std::chrono::milliseconds time, int watched);

  private:
    void take();
    void give_back() noexcept;
    void suspend();
    void tell_guard(char word) noexcept;
    Event on_signal();
    Event on_input();

    termios before_{};
    UniqueFd signals_;
    UniqueFd guarded_;  // closed without a word: the guard tidies up
    pid_t guard_ = -1;
    std::string unread_;
    std::vector<std::string> shown_;
};

}  // namespace drover::top
