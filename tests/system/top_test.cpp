// `drover top` in a real terminal, which tmux is.
#include "tests/support/contains.h"
#include "tests/support/held_connections.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::test {
namespace {

constexpr const char* shell_command = "exec env LC_ALL=C.UTF-8 PS1='$ ' ENV= sh";

// A terminal of its own, in which one program runs: a shell.
class Tmux {
  public:
    explicit Tmux(const TemporaryFolder& folder, const std::string& command = shell_command)
        : socket_(folder.file("tmux")) {
        run({"-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "20", command});
        server_ = std::stoi(run({"display-message", "-p", "#{pid}"}));
        shell_ = std::stoi(run({"display-message", "-p", "#{pane_pid}"}));
    }
    ~Tmux() {
        if (server_ != 0) {
            run({"kill-server"});
            ::waitpid(server_, nullptr, 0);  // ours, by adoption
        }
        reap_session();
    }
    Tmux(const Tmux&) = delete;
    Tmux& operator=(const Tmux&) = delete;

    std::string screen() const { return run({"capture-pane", "-p"}); }
    void type(const std::string& keys) const { run({"send-keys", "-l", keys}); }
    void press(const std::string& key) const { run({"send-keys", key}); }
    void resize(int columns, int lines) const {
        run({"resize-window", "-x", std::to_string(columns), "-y", std::to_string(lines)});
    }
    // The terminal is gone: whoever works in it is hung up on. The test has to wait for its programs.
    void lose() {
        ::kill(server_, SIGKILL);
        ::waitpid(std::exchange(server_, 0), nullptr, 0);
    }
    pid_t shell() const { return shell_; }
    // Of what runs in it beside the shell.
    pid_t foreground() const {
        const std::vector<pid_t> children = children_of(shell_);
        return children.empty() ? 0 : children.front();
    }
    void wait_for(const std::string& text) const {
        wait([&] { return screen().find(text) != std::string::npos; }, text);
    }
    void wait(const std::function<bool()>& predicate, const std::string& what) const {
        const Deadline deadline;
        while (!predicate()) {
            REQUIRE_MESSAGE(!deadline.passed(), "no " << what << " on\n" << screen());
            ::poll(nullptr, 0, 20);  // a screen tells nobody that it has changed
        }
    }

  private:
    // The test adopts the shell when the server has ended, and each program of its session when the program's
    // parent has ended. A program that does not end in time is left for the test to find.
    void reap_session() const {
        const Deadline deadline;
        for (bool found = true; found;) {
            found = false;
            for (const pid_t child : children_of(::getpid())) {
                if (::getsid(child) != shell_) continue;
                if (!wait_gone(open_pidfd(child), deadline)) return;
                ::waitpid(child, nullptr, 0);
                found = true;
            }
        }
    }

    std::string run(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), {"tmux", "-S", socket_});
        return run_command(arguments, {.environment = {"TMUX="}}).output;
    }

    std::string socket_;
    pid_t server_ = 0;
    pid_t shell_ = 0;
};

std::string top_command(const MasterUnderTest& master) {
    return std::string(DROVER_PROGRAM) + " top -c " + master.config_path();
}

// Both a shell that edits its line itself and one that leaves it to the terminal show what is typed.
void check_restored(const Tmux& terminal) {
    CHECK_FALSE(contains(terminal.screen(), "WORKER"));
    terminal.type("stty -a | tr ';' '\\n' | grep -o ' icanon'; echo \"works\" again\n");
    terminal.wait_for("works again");
    CHECK(contains(terminal.screen(), " icanon"));
}

bool waits_for_end(pid_t pid) {
    const Deadline deadline;
    while (state_of(pid) != '-' && !deadline.passed()) {
        ::waitpid(pid, nullptr, WNOHANG);  // ours, if whoever started it has gone
        ::poll(nullptr, 0, 5);
    }
    return state_of(pid) == '-';
}

// top in the terminal, as soon as it shows what there is.
pid_t start_top(const Tmux& terminal, const MasterUnderTest& master) {
    terminal.type(top_command(master) + "\n");
    terminal.wait_for("workers 2/2");
    return terminal.foreground();
}

// The process that gives the terminal back, whatever becomes of top.
pid_t guard_of(pid_t top) {
    const std::vector<pid_t> guards = children_of(top);
    REQUIRE(guards.size() == 1);
    return guards.front();
}

std::size_t position(const Tmux& terminal, std::string_view part) {
    return terminal.screen().find(part);
}

}  // namespace

TEST_CASE("nothing of a terminal outlives it") {
    MasterUnderTest master;
    {
        const Tmux terminal(master.folder());
        terminal.type("(trap '' HUP; exec sleep 1) & echo \"it\" runs\n");
        terminal.wait_for("it runs");
    }
    CHECK(children_of(::getpid()) == std::vector<pid_t>{master.pid()});
    master.finish();
}

TEST_CASE("top shows workers, what happens to them, and one of them closely") {
    MasterUnderTest master;
    {
        const Tmux terminal(master.folder());
        terminal.type("echo before; " + top_command(master) + "; echo left with $?\n");
        terminal.wait_for("workers 2/2");
        CHECK(contains(terminal.screen(), "main/0"));
        CHECK(contains(terminal.screen(), "main/1"));
        CHECK(contains(terminal.screen(), "generation 1"));

        ::kill(master.worker_pids()[1], SIGKILL);
        master.wait_serving(2);
        terminal.press("Down");
        terminal.press("Enter");
        terminal.wait_for("killed by signal 9");
        terminal.press("Escape");
        terminal.wait_for("WORKER");

        terminal.resize(40, 6);
        terminal.wait([&] { return contains(terminal.screen(), "q quit"); }, "keys in a small window");
        terminal.resize(150, 30);
        terminal.wait_for("RESTARTS");

        CHECK(master.cli({"reload", "--fresh"}).code() == 0);
        terminal.wait_for("generation 2");
        terminal.press("q");
        terminal.wait_for("left with 0");
        CHECK(contains(terminal.screen(), "before"));
        check_restored(terminal);
    }
    master.finish();
}

TEST_CASE("the terminal is as it was when top is killed, interrupted, or its master ends") {
    MasterUnderTest master;
    {
        const Tmux terminal(master.folder());
        for (const int signal : {SIGKILL, SIGINT, SIGTERM, SIGHUP, SIGABRT}) {
            CAPTURE(signal);
            terminal.type("clear; " + top_command(master) + "\n");
            terminal.wait_for("workers 2/2");
            const pid_t top = terminal.foreground();
            REQUIRE(top != 0);
            const pid_t guard = guard_of(top);
            ::kill(top, signal);
            terminal.wait([&] { return !contains(terminal.screen(), "WORKER"); }, "end");
            check_restored(terminal);
            ::waitpid(guard, nullptr, 0);  // ours now, if top did not wait for it itself
        }
        terminal.type("clear; " + top_command(master) + "\n");
        terminal.wait_for("workers 2/2");
        master.signal(SIGTERM);
        terminal.wait_for("the master has ended");
        check_restored(terminal);
    }
    CHECK(master.wait_exit() == Exit{0, 0});
    master.verify_clean();
}

TEST_CASE("top --once prints one view, also when every worker is stopped") {
    MasterUnderTest master;
    CHECK(master.get() == "first");
    const std::vector<pid_t> workers = master.worker_pids();
    for (const pid_t worker : workers)
        REQUIRE(freeze(worker));
    const CommandResult view = master.cli({"top", "--once"});
    CHECK(view.code() == 0);
    CHECK_MESSAGE(contains(view.output, "main/1"), view.output);
    CHECK_FALSE(contains(view.output, "\x1b"));
    for (const pid_t worker : workers)
        ::kill(worker, SIGCONT);
    const CommandResult blind = master.cli({"top"});
    CHECK(blind.code() == 1);
    CHECK(contains(blind.errors, "--once"));
    master.finish();
}

TEST_CASE("keys sort rows, turn them round, and hold the view") {
    MasterUnderTest master;
    {
        const Tmux terminal(master.folder());
        terminal.type(top_command(master) + "\n");
        terminal.wait_for("workers 2/2");
        CHECK(position(terminal, "main/0") < position(terminal, "main/1"));
        terminal.type("r");
        terminal.wait([&] { return position(terminal, "main/1") < position(terminal, "main/0"); }, "turn");
        terminal.type("s");
        terminal.wait_for("sort (STATE)");
        terminal.type("s");
        terminal.wait_for("sort (PID)");

        terminal.type("p");
        terminal.wait_for("paused");
        CHECK(master.cli({"reload", "--fresh"}).code() == 0);
        // While this one looks for a second the other would have looked again.
        CHECK(contains(master.cli({"top", "--once"}).output, "generation 2"));
        terminal.type("s");
        terminal.wait_for("sort (GEN)");
        CHECK(contains(terminal.screen(), "generation 1"));
        terminal.type("p");
        terminal.wait_for("generation 2");
        CHECK_FALSE(contains(terminal.screen(), "paused"));
        terminal.type("q");
        terminal.wait([&] { return !contains(terminal.screen(), "WORKER"); }, "end");
    }
    master.finish();
}

TEST_CASE("a worker that hangs is seen at 80 columns") {
    MasterUnderTest master({.pool = "hang_timeout = \"off\"\nreport_interval = \"50ms\"\n"});
    {
        const Tmux terminal(master.folder());
        terminal.resize(80, 20);
        terminal.type(top_command(master) + "\n");
        terminal.wait_for("workers 2/2");
        const pid_t hanging = master.worker_pids()[1];
        REQUIRE(freeze(hanging));
        terminal.wait_for("main/1 silent ");
        CHECK(contains(terminal.screen(), "main/0 serving"));
        ::kill(hanging, SIGCONT);
        terminal.wait_for("main/1 serving");
        terminal.type("q");
        terminal.wait([&] { return !contains(terminal.screen(), "WORKER"); }, "end");
    }
    master.finish();
}

TEST_CASE("Ctrl-C ends top, and the terminal is as it was") {
    MasterUnderTest master;
    {
        const Tmux terminal(master.folder());
        terminal.type(top_command(master) + "; echo left with $?\n");
        terminal.wait_for("workers 2/2");
        terminal.press("C-c");
        terminal.wait([&] { return !contains(terminal.screen(), "WORKER"); }, "end");
        check_restored(terminal);
    }
    master.finish();
}

TEST_CASE("Ctrl-Z gives the terminal back, fg takes it again") {
    MasterUnderTest master;
    {
        const Tmux terminal(master.folder());
        const pid_t top = start_top(terminal, master);
        for (int i = 0; i < 2; ++i) {
            terminal.press("C-z");
            terminal.wait([&] { return state_of(top) == 'T'; }, "stop");
            check_restored(terminal);
            terminal.type("clear; fg\n");
            terminal.wait_for("workers 2/2");
        }
        // Taken again, it is guarded again.
        const pid_t guard = guard_of(top);
        ::kill(top, SIGKILL);
        terminal.wait([&] { return !contains(terminal.screen(), "WORKER"); }, "end");
        CHECK(waits_for_end(guard));
        check_restored(terminal);
    }
    master.finish();
}

TEST_CASE("top that is killed while it is suspended leaves the terminal to whom it belongs") {
    MasterUnderTest master;
    {
        const Tmux terminal(master.folder());
        const pid_t top = start_top(terminal, master);
        const pid_t guard = guard_of(top);
        terminal.press("C-z");
        terminal.wait([&] { return state_of(top) == 'T'; }, "stop");
        terminal.type("clear; stty noflsh; echo \"set\" now\n");
        terminal.wait_for("set now");
        ::kill(top, SIGKILL);
        CHECK(waits_for_end(guard));
        terminal.type("stty -a | tr ';' '\\n' | grep -o '.noflsh'; echo \"looked\" up\n");
        terminal.wait_for("looked up");
        CHECK_FALSE(contains(terminal.screen(), "-noflsh"));
    }
    master.finish();
}

TEST_CASE("Ctrl-Z stops no top that nobody could let go on") {
    MasterUnderTest master;
    {
        // Under a shell without job control, as with `ssh -t`: the process group is orphaned (setpgid(2)).
        const Tmux terminal(master.folder(), "env TERM=screen " + top_command(master) + "; true");
        terminal.wait_for("workers 2/2");
        terminal.press("C-z");
        terminal.type("p");
        terminal.wait_for("paused");
        terminal.type("p");
        terminal.wait([&] { return !contains(terminal.screen(), "paused"); }, "going on");
        terminal.type("q");
        terminal.wait([&] { return terminal.screen().empty(); }, "end");
    }
    master.finish();
}

TEST_CASE("a top that loses its terminal leaves, and so does its guard") {
    MasterUnderTest master;
    {
        Tmux terminal(master.folder());
        const pid_t top = start_top(terminal, master);
        const pid_t guard = guard_of(top);
        terminal.lose();
        CHECK(waits_for_end(top));
        CHECK(waits_for_end(guard));
        CHECK(waits_for_end(terminal.shell()));
    }
    master.finish();
}

TEST_CASE("top says so when the master stands still") {
    MasterUnderTest master;
    REQUIRE(freeze(master.pid()));
    const CommandResult result = master.cli({"top", "--once"});
    ::kill(master.pid(), SIGCONT);
    CHECK(result.code() == 1);
    CHECK_MESSAGE(contains(result.errors, "the master does not answer within 5 s"), result.errors);
    master.finish();
}

}  // namespace drover::test
