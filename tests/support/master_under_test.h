// MasterUnderTest is the real program as a child of the test, in a folder of its own, with one pool of an
// http and an echo listener. Ready means its READY=1 message. The test adopts what it leaves behind
// (PR_SET_CHILD_SUBREAPER), and every test ends with finish() or verify_clean(): whatever was left, leaked or
// reported by a sanitizer fails it. Runs in: tests.
#pragma once

#include "tests/support/child.h"
#include "tests/support/control_call.h"
#include "tests/support/deadline.h"
#include "tests/support/http_client.h"
#include "tests/support/notify_socket.h"
#include "tests/support/ports.h"
#include "tests/support/status_view.h"
#include "tests/support/temporary_folder.h"

#include <csignal>
#include <functional>
#include <string>
#include <vector>

namespace drover::test {

// The parts of the configuration that tests change.
struct TestConfig {
    std::string body = "first";  // GET / answers it
    unsigned workers = 2;
    std::string log_file = "stderr";
    std::string drain_timeout = "30s";
    std::string modules = "\"http\", \"echo\"";
    std::string master = {};   // more lines of [master]
    std::string pool = {};     // more lines of [pool.main]
    std::string rest = {};     // more tables
    std::string balance = {};  // of both listeners; empty: the default

    std::string text(const std::string& http_address, const std::string& echo_address) const;
};

class MasterUnderTest {
  public:
    struct Start {
        bool wait_ready = true;
        std::string program = DROVER_PROGRAM;
        std::vector<std::string> wrapper = {};      // goes before the program: {"unshare", "-pf"}
        std::vector<std::string> environment = {};  // "NAME=value"
        std::function<void()> before_exec = {};     // in the child; async-signal-safe calls only
        uid_t user = 0;                             // the master's own user; 0: the test's
        std::function<void(MasterUnderTest&)> prepare =
            {};  // before the start, when folder and ports are there
    };

    explicit MasterUnderTest(const TestConfig& config = {}) : MasterUnderTest(config, Start()) {}
    MasterUnderTest(const TestConfig& config, const Start& start);
    ~MasterUnderTest();
    MasterUnderTest(const MasterUnderTest&) = delete;
    MasterUnderTest& operator=(const MasterUnderTest&) = delete;

    const TemporaryFolder& folder() const { return folder_; }
    std::string config_path() const { return folder_.file("drover.toml"); }
    std::string runtime_dir() const { return folder_.file("run"); }
    std::string control_path() const { return runtime_dir() + "/control.sock"; }
    std::uint16_t http_port() const { return http_port_.number(); }
    std::uint16_t echo_port() const { return echo_port_.number(); }
    NotifySocket& notify() { return notify_; }

    // Replaces the configuration in one step.
    void write_config(const TestConfig& config) const;
    void write_config_text(std::string_view text) const;
    std::string config_text(const TestConfig& config) const;

    pid_t pid() const { return pid_; }
    void signal(int signal) const;
    Exit wait_exit(const Deadline& deadline = Deadline());
    bool running() const;

    // Over the control socket.
    ControlReply control(const std::string& command, const std::string& format = "") const;
    ControlCall start_control(const std::string& command) const { return {control_path(), command}; }
    StatusView status() const;
    std::vector<pid_t> worker_pids() const { return status().pids(); }
    // The program's command line with "-c FILE" after the command.
    CommandResult cli(std::vector<std::string> arguments, ChildOptions options = {}) const;

    std::string get(std::string_view path = "/") const { return http_get(http_port(), path).body; }
    // What the program has written to standard output and error.
    std::string output() const { return read_file(folder_.file("output")); }

    // Waits until `predicate` holds; fails the test, with the program's output, when it does not in time.
    // Looks again whenever the program writes a line, sends a notification or ends.
    void wait_until(std::string_view what, const std::function<bool()>& predicate,
                    const Deadline& deadline = Deadline());
    void wait_serving(std::size_t workers, const Deadline& deadline = Deadline());
    // New workers serve in place of these, which have died.
    void wait_replaced(const std::vector<pid_t>& dead);
    void wait_output(std::string_view text, std::size_t times = 1);
    // HUP, and the state after its verdict.
    StatusView reload_by_signal();

    // Sends the signal, waits for the end, and verifies.
    void finish(int signal = SIGTERM);
    // The master has ended with `expected` and nothing is left of it.
    void verify_clean(Exit expected = {0, 0});
    // For a master that was killed: its workers become ours and must end by themselves. True when they have.
    bool wait_orphans(const Deadline& deadline = Deadline());
    // No sanitizer and no assertion has spoken.
    void verify_output() const;

  private:
    void start(const Start& options);
    void wait_ready(bool wrapped);
    void wait_event(const Deadline& deadline);

    TemporaryFolder folder_;
    ReservedPort http_port_;
    ReservedPort echo_port_;
    NotifySocket notify_;
    UniqueFd output_watch_;
    Child child_;
    pid_t pid_ = 0;
    Exit end_;
    bool ended_ = false;
    bool verified_ = false;
};

}  // namespace drover::test
