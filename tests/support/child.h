// Child is a program that a test has started, held by pid and pidfd; run_command() is one run to its end.
// Owned by the test; one that still runs when its Child goes is killed. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"
#include "tests/support/deadline.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace drover::test {

// How a program ended. code is -1 when a signal killed it.
struct Exit {
    int code = -1;
    int signal = 0;

    friend bool operator==(const Exit&, const Exit&) = default;
};
std::string to_text(Exit end);

struct ChildOptions {
    std::vector<std::string> environment = {};  // "NAME=value", beside the test's own
    int input = -1;                             // borrowed; -1: /dev/null
    int output = -1;                            // borrowed; -1: the test's own
    int errors = -1;                            // borrowed; -1: the test's own
    uid_t user = 0;                          // 0: stay; else this uid, a gid of the same number and no groups
    std::function<void()> before_exec = {};  // in the child; async-signal-safe calls only
};

class Child {
  public:
    Child() = default;
    explicit Child(pid_t pid);
    Child(Child&&) noexcept = default;
    Child& operator=(Child&& other) noexcept;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    static Child start(const std::vector<std::string>& arguments, const ChildOptions& options = {});

    pid_t pid() const { return pid_; }
    int pidfd() const { return pidfd_.get(); }
    void signal(int signal) const;
    // Throws when it has not ended by then.
    Exit wait_exit(const Deadline& deadline = Deadline());

  private:
    pid_t pid_ = 0;
    UniqueFd pidfd_;
};

struct CommandResult {
    Exit end;
    std::string output;
    std::string errors;

    int code() const { return end.code; }
};
CommandResult run_command(const std::vector<std::string>& arguments, ChildOptions options = {},
                          const Deadline& deadline = Deadline(std::chrono::seconds(30)));

UniqueFd open_pidfd(pid_t pid);  // none when there is no such process
// Waits for the end of a process that need not be our child; false at the deadline.
bool wait_gone(const UniqueFd& pidfd, const Deadline& deadline = Deadline());

}  // namespace drover::test
