// A master in a terminal: what its children can reach of it, Ctrl-C, and a background job's log.
#include "core/base/system_error.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <cstdlib>
#include <sstream>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace drover::test {
namespace {

// A terminal that nobody controls yet; take() makes it the terminal of a session of one's own.
class PseudoTerminal {
  public:
    PseudoTerminal() : ours_(check_call(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt")) {
        check_call(::grantpt(ours_.get()), "grantpt");
        check_call(::unlockpt(ours_.get()), "unlockpt");
        name_ = ::ptsname(ours_.get());
        // Open as long as we are: without anybody the terminal would hang up.
        theirs_ = UniqueFd(check_call(::open(name_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC), "open", name_));
    }

    void type(char key) const { REQUIRE(::write(ours_.get(), &key, 1) == 1); }
    void stop_background_writers() const {
        termios settings{};
        REQUIRE(::tcgetattr(theirs_.get(), &settings) == 0);
        settings.c_lflag |= TOSTOP;
        REQUIRE(::tcsetattr(theirs_.get(), TCSANOW, &settings) == 0);
    }
    // In the child, before its exec: all three standard descriptors.
    void take() const {
        ::setsid();
        ::ioctl(theirs_.get(), TIOCSCTTY, 0);
        for (int fd = 0; fd <= 2; ++fd)
            ::dup2(theirs_.get(), fd);
    }
    const std::string& name() const { return name_; }
    int number() const { return std::stoi(name_.substr(name_.rfind('/') + 1)); }
    // Everything that was written to it so far; its buffer is small.
    const std::string& output() {
        pollfd waiting{ours_.get(), POLLIN, 0};
        char buffer[4096];
        while (::poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLIN) != 0) {
            const ssize_t size = ::read(ours_.get(), buffer, sizeof buffer);
            if (size <= 0) break;
            output_.append(buffer, static_cast<std::size_t>(size));
        }
        return output_;
    }

  private:
    UniqueFd ours_;
    UniqueFd theirs_;
    std::string name_;
    std::string output_;
};

// proc(5), stat: the fields after the name, from the state (3) on.
std::vector<std::string> terminal_stat_fields(pid_t pid) {
    const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    std::istringstream rest(stat.substr(stat.rfind(')') + 2));
    std::vector<std::string> fields;
    for (std::string field; rest >> field;)
        fields.push_back(field);
    return fields;
}

void check_out_of_reach(pid_t child, const PseudoTerminal& terminal) {
    const std::vector<std::string> fields = terminal_stat_fields(child);
    CHECK_MESSAGE(fields.at(6 - 3) == std::to_string(child), "its session");
    CHECK_MESSAGE(fields.at(7 - 3) == "0", "its controlling terminal");
    const std::string folder = "/proc/" + std::to_string(child);
    CHECK(std::filesystem::read_symlink(folder + "/fd/0") == "/dev/null");
    for (const int fd : fds_of(child, terminal.name())) {
        const std::string info = read_file(folder + "/fdinfo/" + std::to_string(fd));
        const std::size_t flags = info.find("flags:");
        REQUIRE(flags != std::string::npos);
        CHECK_MESSAGE((std::stol(info.substr(flags + 6), nullptr, 8) & O_ACCMODE) == O_WRONLY, "fd ", fd);
    }
}

bool terminal_said(PseudoTerminal& terminal, std::string_view text) {
    return terminal.output().find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("workers have no terminal, and Ctrl-C there stops the service, once") {
    PseudoTerminal terminal;
    MasterUnderTest master({.workers = 3}, {.before_exec = [&] { terminal.take(); }});
    for (const pid_t worker : master.worker_pids())
        check_out_of_reach(worker, terminal);
    CHECK(master.get() == "first");
    terminal.type('\x03');
    CHECK(master.wait_exit() == Exit{0, 0});
    const std::string output = terminal.output();
    const std::size_t stopping = output.find("stopping: workers leave at once");
    CHECK(stopping != std::string::npos);
    CHECK(output.find("stopping", stopping + 1) == std::string::npos);
    CHECK(output.find("stopped: no worker is left") != std::string::npos);
    CHECK(output.find("killed by") == std::string::npos);
    master.verify_clean();
}

TEST_CASE("a config reader has no terminal") {
    PseudoTerminal terminal;
    const TemporaryFolder folder;
    write_file(folder.file("drover.toml"),
               "[master]\nruntime_dir = \"run\"\n[pool.main]\nmodules = [\"trouble\"]\n"
               "[module.trouble]\nin_check = \"hang\"\n");
    Child check = Child::start({DROVER_TROUBLE_PROGRAM, "check", "-c", folder.file("drover.toml")},
                               {.before_exec = [&] { terminal.take(); }});
    const Deadline deadline;
    pid_t reader = 0;
    // It has left the terminal when it reads.
    while (command_line_of(reader) != "drover_trouble: config reader") {
        REQUIRE_FALSE(deadline.passed());
        const std::vector<pid_t> children = children_of(check.pid());
        if (!children.empty()) reader = children.front();
    }
    check_out_of_reach(reader, terminal);
    ::kill(reader, SIGKILL);
    check.wait_exit();
    CHECK(terminal_said(terminal, "the config reader killed by signal 9"));
}

TEST_CASE("as a background job whose terminal stops who writes it serves, logs and leaves on TERM") {
    PseudoTerminal terminal;
    terminal.stop_background_writers();
    MasterUnderTest master(
        {}, {.wrapper = {"sh", "-mc", "\"$@\" & wait $!", "sh"}, .before_exec = [&] { terminal.take(); }});
    REQUIRE(process_group_of(master.pid()) == master.pid());
    CHECK(master.get() == "first");
    master.signal(SIGTTIN);
    master.wait_until("one worker more", [&] { return master.status().serving(3); });
    master.signal(SIGTTOU);
    master.wait_until("one worker fewer", [&] { return master.status().workers.size() == 2; });
    CHECK(terminal_said(terminal, "ready: generation 1 serves"));
    master.finish();
    CHECK(terminal_said(terminal, "stopped: no worker is left"));
}

}  // namespace drover::test
