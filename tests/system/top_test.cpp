// `drover top` in a real terminal, which tmux is.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>

namespace drover::test {
namespace {

// A terminal of its own, in which one shell runs.
class Tmux {
  public:
    explicit Tmux(const TemporaryFolder& folder) : socket_(folder.file("tmux")) {
        run({"-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "20",
             "env LC_ALL=C.UTF-8 PS1='$ ' ENV= sh"});
        server_ = std::stoi(run({"display-message", "-p", "#{pid}"}));
        shell_ = std::stoi(run({"display-message", "-p", "#{pane_pid}"}));
    }
    // Both are nobody's children but, by adoption, ours.
    ~Tmux() {
        run({"kill-server"});
        ::waitpid(server_, nullptr, 0);
        ::waitpid(shell_, nullptr, 0);
    }
    Tmux(const Tmux&) = delete;
    Tmux& operator=(const Tmux&) = delete;

    std::string screen() const { return run({"capture-pane", "-p"}); }
    void type(const std::string& keys) const { run({"send-keys", "-l", keys}); }
    void press(const std::string& key) const { run({"send-keys", key}); }
    void resize(int columns, int lines) const {
        run({"resize-window", "-x", std::to_string(columns), "-y", std::to_string(lines)});
    }
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

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

// Both a shell that edits its line itself and one that leaves it to the terminal show what is typed.
void check_restored(const Tmux& terminal) {
    CHECK_FALSE(contains(terminal.screen(), "WORKER"));
    terminal.type("stty -a | tr ';' '\\n' | grep -o ' icanon'; echo \"works\" again\n");
    terminal.wait_for("works again");
    CHECK(contains(terminal.screen(), " icanon"));
}

}  // namespace

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
        for (const int signal : {SIGKILL, SIGINT, SIGTERM, SIGABRT}) {
            CAPTURE(signal);
            terminal.type("clear; " + top_command(master) + "\n");
            terminal.wait_for("workers 2/2");
            const pid_t top = terminal.foreground();
            REQUIRE(top != 0);
            const std::vector<pid_t> guards = children_of(top);
            REQUIRE(guards.size() == 1);
            ::kill(top, signal);
            terminal.wait([&] { return !contains(terminal.screen(), "WORKER"); }, "end");
            check_restored(terminal);
            ::waitpid(guards.front(), nullptr, 0);  // ours now, if top did not wait for it itself
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
        ::kill(worker, SIGSTOP);
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

}  // namespace drover::test
