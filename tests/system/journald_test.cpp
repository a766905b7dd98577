// The log as systemd's own journald takes it and journalctl shows it. Where they are not installed, or may
// not be started in a mount namespace of their own, that passes unseen.
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/skipped.h"

#include <csignal>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <unistd.h>

namespace drover::test {
namespace {

using nlohmann::json;

constexpr const char* program = "/lib/systemd/systemd-journald";

// A journald whose /run and /var/log are its own.
class Journald {
  public:
    Journald()
        : child_(Child::start({"unshare", "--mount", "sh", "-c",
                               "mount --make-rprivate / && mount -t tmpfs tmpfs /run && "
                               "mount -t tmpfs tmpfs /var/log && exec " +
                                   std::string(program)})),
          root_("/proc/" + std::to_string(child_.pid()) + "/root") {}
    ~Journald() {
        child_.signal(SIGTERM);
        child_.wait_exit();
    }
    Journald(const Journald&) = delete;
    Journald& operator=(const Journald&) = delete;

    // False: it cannot be had here.
    bool wait_ready() const {
        const Deadline deadline;
        while (!std::filesystem::exists(socket()) && state_of(child_.pid()) != 'Z' && !deadline.passed())
            ::sched_yield();
        return std::filesystem::exists(socket());
    }
    std::string socket() const { return root_ + "/run/systemd/journal/socket"; }

    // What journalctl finds by these matches.
    std::vector<json> find(const std::vector<std::string>& matches) const {
        std::vector<std::string> arguments{"journalctl", "--directory=" + root_ + "/run/log/journal",
                                           "--output=json", "--no-pager", "--quiet"};
        arguments.insert(arguments.end(), matches.begin(), matches.end());
        std::vector<json> entries;
        std::istringstream lines(run_command(arguments).output);
        for (std::string line; std::getline(lines, line);)
            entries.push_back(json::parse(line));
        return entries;
    }

  private:
    Child child_;
    std::string root_;
};

}  // namespace

TEST_CASE("journald: journalctl finds deaths and workers by their fields") {
    if (lacks_root() || lacks(::access(program, X_OK) == 0, "journald") || lacks_program("journalctl"))
        return;
    std::optional<Journald> journald(std::in_place);
    if (lacks(journald->wait_ready(), "a journald that starts")) return;
    MasterUnderTest master({.workers = 2, .log_file = "journal:" + journald->socket()},
                           {.wait_ready = false});
    master.wait_until("it serves", [&] { return !journald->find({"DROVER_EVENT=ready"}).empty(); });
    const pid_t victim = master.worker_pids()[1];
    kill(victim, SIGKILL);
    master.wait_replaced({victim});
    std::vector<json> deaths;
    master.wait_until("the death", [&] {
        deaths = journald->find({"DROVER_EVENT=worker_death"});
        return !deaths.empty();
    });
    const json& death = deaths.front();
    INFO(death.dump());
    CHECK(deaths.size() == 1);
    CHECK(death.at("MESSAGE").get<std::string>().find("killed by signal 9 (SIGKILL)") != std::string::npos);
    CHECK(death.at("PRIORITY") == "3");
    CHECK(death.at("SYSLOG_IDENTIFIER") == "drover");
    CHECK(death.at("DROVER_ROLE") == "master");
    CHECK(death.at("DROVER_POOL") == "main");
    CHECK(death.at("DROVER_SLOT") == "1");
    CHECK(death.at("DROVER_GENERATION") == "1");
    CHECK(death.at("DROVER_WORKER_PID") == std::to_string(victim));
    CHECK(death.at("_PID") == std::to_string(master.pid()));

    const pid_t leaving = master.worker_pids()[0];
    kill(leaving, SIGTERM);
    master.wait_replaced({leaving});
    std::vector<json> own;
    master.wait_until("a worker's own line", [&] {
        own = journald->find({"DROVER_ROLE=worker", "_PID=" + std::to_string(leaving)});
        return !own.empty();
    });
    CHECK(own.front().at("DROVER_SLOT") == "0");
    journald.reset();
    CHECK(master.get() == "first");
    master.finish();
}

}  // namespace drover::test
