#include "tests/support/master_under_test.h"

#include "core/base/system_error.h"
#include "tests/support/proc.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::test {

std::string TestConfig::text(const std::string& http_address, const std::string& echo_address) const {
    std::string text = "[master]\nruntime_dir = \"run\"\nlog_file = \"" + log_file + "\"\n" + master;
    text += "\n[pool.main]\nworkers = " + std::to_string(workers) + "\nmodules = [" + modules + "]\n";
    text += "drain_timeout = \"" + drain_timeout + "\"\n" + pool;
    const std::string spread = balance.empty() ? "" : "balance = \"" + balance + "\"\n";
    text += "\n[[pool.main.listen]]\naddress = \"" + http_address + "\"\nmodule = \"http\"\n" + spread;
    text += "\n[[pool.main.listen]]\naddress = \"" + echo_address + "\"\nmodule = \"echo\"\n" + spread;
    text +=
        "\n[[module.http.route]]\npath = \"/\"\nreturn = { status = 200, type = \"text/plain\", body = \"" +
        body + "\" }\n";
    text += "\n[[module.http.route]]\npath = \"/status\"\nhandler = \"status\"\n" + rest;
    // Their clients may stand still as long as they like, and the machine does.
    if (rest.find("[module.http]") == rest.npos) text += "\n[module.http]\nmin_rate = 0\n";
    return text;
}

MasterUnderTest::MasterUnderTest(const TestConfig& config, const Start& start_options)
    : notify_(folder_.file("notify")) {
    check_call(prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
    write_config(config);
    if (start_options.user != 0) {
        check_call(chown(folder_.path().c_str(), start_options.user, start_options.user), "chown");
    }
    if (start_options.prepare) start_options.prepare(*this);
    start(start_options);
    if (start_options.wait_ready) wait_ready(!start_options.wrapper.empty());
}

void MasterUnderTest::start(const Start& options) {
    const UniqueFd output(
        check_call(open(folder_.file("output").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666),
                   "open", "output"));
    output_watch_ = UniqueFd(check_call(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1"));
    check_call(inotify_add_watch(output_watch_.get(), folder_.file("output").c_str(), IN_MODIFY),
               "inotify_add_watch");

    std::vector<std::string> arguments = options.wrapper;
    arguments.insert(arguments.end(), {options.program, "run", "-c", config_path()});
    ChildOptions child_options;
    child_options.environment = options.environment;
    child_options.environment.push_back(notify_.environment());
    child_options.output = output.get();
    child_options.errors = output.get();
    child_options.user = options.user;
    child_options.before_exec = options.before_exec;
    child_ = Child::start(arguments, child_options);
    pid_ = child_.pid();
}

void MasterUnderTest::wait_ready(bool wrapped) {
    wait_until("ready", [&] {
        notify_.drain();
        return notify_.count("READY=1") > 0;
    });
    if (!wrapped) return;
    const std::vector<pid_t> inner = children_of(child_.pid());
    if (inner.size() == 1) pid_ = inner.front();
}

MasterUnderTest::~MasterUnderTest() {
    if (!verified_) std::cerr << "--- output of the master\n" << output() << "---\n";
    if (!ended_) child_ = Child();
    for (const pid_t orphan : children_of(getpid())) {
        kill(orphan, SIGKILL);
        waitpid(orphan, nullptr, 0);
    }
}

std::string MasterUnderTest::config_text(const TestConfig& config) const {
    return config.text(http_port_.address(), echo_port_.address());
}

void MasterUnderTest::write_config(const TestConfig& config) const {
    write_config_text(config_text(config));
}

void MasterUnderTest::write_config_text(std::string_view text) const {
    const std::string next = config_path() + ".next";
    write_file(next, text);
    std::filesystem::rename(next, config_path());
}

void MasterUnderTest::signal(int signal) const {
    check_call(kill(pid_, signal), "kill");
}

bool MasterUnderTest::running() const {
    pollfd waiting{child_.pidfd(), POLLIN, 0};
    return !ended_ && poll(&waiting, 1, 0) == 0;
}

Exit MasterUnderTest::wait_exit(const Deadline& deadline) {
    if (!ended_) end_ = child_.wait_exit(deadline);
    ended_ = true;
    return end_;
}

ControlReply MasterUnderTest::control(const std::string& command, const std::string& format) const {
    return ControlCall(control_path(), command, format).wait();
}

StatusView MasterUnderTest::status() const {
    const ControlReply reply = control("status", "json");
    if (!reply.ok) throw std::runtime_error("status: " + reply.text);
    return StatusView::parse(reply.text);
}

CommandResult MasterUnderTest::cli(std::vector<std::string> arguments, ChildOptions options) const {
    std::vector<std::string> line{DROVER_PROGRAM};
    line.insert(line.end(), arguments.begin(), arguments.begin() + 1);
    line.insert(line.end(), {"-c", config_path()});
    line.insert(line.end(), arguments.begin() + 1, arguments.end());
    return run_command(line, std::move(options), Deadline(std::chrono::seconds(60)));
}

void MasterUnderTest::wait_event(const Deadline& deadline) {
    std::array<pollfd, 3> waiting{
        {{output_watch_.get(), POLLIN, 0}, {notify_.fd(), POLLIN, 0}, {child_.pidfd(), POLLIN, 0}}};
    if (ended_) waiting[2].fd = -1;
    poll(waiting.data(), waiting.size(), std::min(deadline.remaining_ms(), 20));
    std::array<char, 4096> events{};
    while (read(output_watch_.get(), events.data(), events.size()) > 0) {
    }
    notify_.drain();
}

void MasterUnderTest::wait_until(std::string_view what, const std::function<bool()>& predicate,
                                 const Deadline& deadline) {
    while (!predicate()) {
        if (deadline.passed()) FAIL("waited in vain for: " << std::string(what));
        if (!running()) {
            if (predicate()) return;
            FAIL("the master has ended (" << to_text(wait_exit())
                                          << ") while waiting for: " << std::string(what));
        }
        wait_event(deadline);
    }
}

void MasterUnderTest::wait_serving(std::size_t workers, const Deadline& deadline) {
    const auto ready = [&] {
        const StatusView view = status();
        return view.state == "running" && view.serving(workers);
    };
    wait_until(std::to_string(workers) + " workers serving", ready, deadline);
}

void MasterUnderTest::wait_replaced(const std::vector<pid_t>& dead) {
    wait_until("new workers in place of the dead", [&] {
        const StatusView view = status();
        const std::vector<pid_t> now = view.pids();
        const bool gone = std::none_of(dead.begin(), dead.end(), [&](pid_t pid) {
            return std::find(now.begin(), now.end(), pid) != now.end();
        });
        return gone && view.state == "running" && view.serving(view.workers.size());
    });
}

void MasterUnderTest::wait_output(std::string_view text, std::size_t times) {
    wait_until("output of \"" + std::string(text) + "\"", [&] {
        const std::string written = output();
        std::size_t found = 0;
        for (std::size_t at = written.find(text); at != std::string::npos; at = written.find(text, at + 1))
            ++found;
        return found >= times;
    });
}

StatusView MasterUnderTest::reload_by_signal() {
    notify_.drain();
    const std::size_t ready = notify_.count("READY=1");
    signal(SIGHUP);
    wait_until("the verdict of a reload", [&] {
        notify_.drain();
        return notify_.count("READY=1") > ready;
    });
    return status();
}

void MasterUnderTest::finish(int signal_number) {
    signal(signal_number);
    wait_exit(Deadline(std::chrono::seconds(20)));
    verify_clean();
}

bool MasterUnderTest::wait_orphans(const Deadline& deadline) {
    for (const pid_t orphan : children_of(getpid())) {
        if (orphan == child_.pid() && !ended_) continue;
        if (!wait_gone(open_pidfd(orphan), deadline)) return false;
        waitpid(orphan, nullptr, 0);
    }
    return true;
}

void MasterUnderTest::verify_clean(Exit expected) {
    REQUIRE_MESSAGE(ended_, "the master still runs");
    CHECK_MESSAGE(end_ == expected,
                  "the master ended with " << to_text(end_) << ", not " << to_text(expected));
    for (const pid_t child : children_of(getpid())) {
        FAIL_CHECK("left behind: process " << child << " \"" << command_line_of(child) << "\", state "
                                           << state_of(child));
    }
    if (std::filesystem::exists(runtime_dir())) {
        for (const auto& entry : std::filesystem::directory_iterator(runtime_dir())) {
            FAIL_CHECK("left behind: " << entry.path().string());
        }
    }
    verify_output();
    verified_ = end_ == expected;
}

void MasterUnderTest::verify_output() const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
        if (!entry.is_regular_file() || entry.path().extension() == ".toml") continue;
        const std::string text = read_file(entry.path());
        for (const char* sign :
             {"AddressSanitizer", "LeakSanitizer", "runtime error:", "check failed:", "Assertion"}) {
            const std::size_t found = text.find(sign);
            if (found == std::string::npos) continue;
            FAIL_CHECK(entry.path().filename().string()
                       << " says: " << text.substr(text.rfind('\n', found) + 1, 1000));
        }
    }
}

}  // namespace drover::test
