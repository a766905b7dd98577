// `drover events`: what the master says it has decided is what happened, in the words of the log.
#include "tests/support/http_load.h"
#include "tests/support/long_clients.h"
#include "tests/support/master_under_test.h"

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace drover::test {
namespace {

using nlohmann::json;

const TestConfig logs_to_a_file{.log_file = "drover.log"};

std::vector<std::string> lines_in(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

// What stands in each line behind the first `mark`; lines without it are left out.
std::vector<std::string> words(const std::string& text, std::string_view mark) {
    std::vector<std::string> all;
    for (const std::string& line : lines_in(text)) {
        const std::size_t at = line.find(mark);
        if (at != std::string::npos) all.push_back(line.substr(at + mark.size()));
    }
    return all;
}

// `drover events` with its output in a file.
class Watcher {
  public:
    Watcher(const MasterUnderTest& master, const std::string& name, std::vector<std::string> options)
        : path_(master.folder().file(name)) {
        const UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        std::vector<std::string> arguments{DROVER_PROGRAM, "events", "-c", master.config_path()};
        arguments.insert(arguments.end(), options.begin(), options.end());
        child_ = Child::start(arguments, {.output = file.get(), .errors = file.get()});
    }

    std::string output() const { return read_file(path_); }
    bool saw(std::string_view text) const { return output().find(text) != std::string::npos; }
    Child& child() { return child_; }

  private:
    std::string path_;
    Child child_;
};

std::vector<json> events_of(const MasterUnderTest& master) {
    const CommandResult result = master.cli({"events", "--json"});
    CHECK(result.code() == 0);
    std::vector<json> events;
    for (const std::string& line : lines_in(result.output))
        events.push_back(json::parse(line));
    return events;
}

// The last event of the kind; null when there is none.
json last_of(const std::vector<json>& events, std::string_view kind) {
    const auto found = std::find_if(events.rbegin(), events.rend(),
                                    [&](const json& event) { return event.at("event") == kind; });
    return found == events.rend() ? json() : *found;
}

pid_t pid_in_slot(const StatusView& view, unsigned slot) {
    const auto found = std::ranges::find_if(view.workers, [slot](const WorkerView& worker) {
        return worker.slot == slot && worker.state == "serving";
    });
    return found == view.workers.end() ? 0 : found->pid;
}

}  // namespace

TEST_CASE("events: start, ready, and a death with its cause") {
    MasterUnderTest master;
    const pid_t victim = pid_in_slot(master.status(), 1);
    kill(victim, SIGKILL);
    master.wait_replaced({victim});
    const std::vector<json> events = events_of(master);
    CHECK(events.front().at("event") == "start");
    CHECK(events.front().at("number") == 1);
    const json ready = last_of(events, "ready");
    REQUIRE(ready.is_object());
    CHECK(ready.at("generation") == 1);
    CHECK(ready.at("pool").is_null());
    const json death = last_of(events, "worker_death");
    REQUIRE(death.is_object());
    CHECK(death.at("pool") == "main");
    CHECK(death.at("slot") == 1);
    CHECK(death.at("pid") == victim);
    CHECK(death.at("generation") == 1);
    CHECK(death.at("level") == "error");
    CHECK(death.at("text") == "worker main/1 (pid " + std::to_string(victim) +
                                  ") killed by signal 9 (SIGKILL); replaced at once");
    const json started = last_of(events, "worker_started");
    CHECK(started.at("slot") == 1);
    CHECK(started.at("number") > death.at("number"));
    CHECK(last_of(events, "worker_ready").at("pid") == started.at("pid"));
    master.finish();
}

TEST_CASE("events: a slot that backs off") {
    MasterUnderTest master(
        {.workers = 2, .pool = "respawn = { delay = \"20ms\", max_delay = \"40ms\", burst = 1 }\n"});
    json back_off;
    for (int round = 0; round < 10 && back_off.is_null(); ++round) {
        const pid_t victim = pid_in_slot(master.status(), 0);
        kill(victim, SIGKILL);
        master.wait_replaced({victim});
        back_off = last_of(events_of(master), "back_off");
    }
    REQUIRE(back_off.is_object());
    CHECK(back_off.at("slot") == 0);
    CHECK(back_off.at("pid").is_null());
    CHECK(back_off.at("text").get<std::string>().starts_with("worker main/0 backs off: replaced in "));
    master.finish();
}

TEST_CASE("events: what became of reloads") {
    MasterUnderTest master;
    TestConfig next{.body = "second"};
    master.write_config(next);
    CHECK(master.control("reload").ok);
    std::vector<json> events = events_of(master);
    CHECK(last_of(events, "reload_started").at("generation") == 1);
    CHECK(last_of(events, "reload_change").at("generation") == 2);
    json verdict = last_of(events, "reload_verdict");
    CHECK(verdict.at("text") == "reload: generation 2 serves");
    CHECK(verdict.at("level") == "info");
    CHECK(verdict.at("generation") == 2);

    next.workers = 0;
    master.write_config(next);
    const ControlReply refusal = master.control("reload");
    CHECK_FALSE(refusal.ok);
    events = events_of(master);
    verdict = last_of(events, "reload_verdict");
    CHECK(verdict.at("text") == "reload refused: " + refusal.text);
    CHECK(verdict.at("level") == "error");
    master.finish();
}

TEST_CASE("events: a replacement, and how its hand-over came out") {
    MasterUnderTest master({.workers = 1});
    const pid_t before = master.worker_pids().front();
    IdleClients idle(master.http_port(), 20);
    REQUIRE(idle.ask("first") == 20);
    CHECK(master.cli({"worker", "restart", "main/0"}).code() == 0);
    json handover;
    master.wait_until("the hand-over's result", [&] {
        handover = last_of(events_of(master), "handover");
        return handover.is_object();
    });
    CHECK(handover.at("pid") == before);
    const std::string text = handover.at("text");
    CHECK_MESSAGE(text.find("handed over 20 connections in ") != std::string::npos, text);
    const json replacement = last_of(events_of(master), "replacement");
    CHECK(replacement.at("pid") == master.worker_pids().front());
    CHECK(replacement.at("text").get<std::string>().find("takes over from") != std::string::npos);
    CHECK(idle.ask("first") == 20);
    master.finish();
}

TEST_CASE("events: a follower sees the log's words to the end, and ends with the master") {
    MasterUnderTest master(logs_to_a_file);
    Watcher follower(master, "followed", {"--follow"});
    master.wait_until("what was before", [&] { return follower.saw("ready: generation 1 serves"); });
    const pid_t victim = master.worker_pids().front();
    kill(victim, SIGKILL);
    master.wait_until("the death",
                      [&] { return follower.saw("(pid " + std::to_string(victim) + ") killed"); });
    master.wait_replaced({victim});
    TestConfig next = logs_to_a_file;
    next.master = "reload = \"fresh\"\n";
    master.write_config(next);
    CHECK(master.control("reload").ok);
    master.write_config_text("[master");
    CHECK_FALSE(master.control("reload").ok);
    master.wait_until("the refusal", [&] { return follower.saw("reload refused: "); });
    CHECK(master.control("workers").ok == false);
    CHECK(master.cli({"workers", "3", "--control", master.control_path()}).code() == 0);
    CHECK(master.control("reopen").ok);
    master.signal(SIGTERM);
    CHECK(follower.child().wait_exit() == Exit{0, 0});
    master.wait_exit();
    master.verify_clean();

    std::vector<std::string> logged = words(read_file(master.folder().file("drover.log")), "] master [");
    std::erase_if(logged, [](const std::string& line) { return line.find("]: draining: ") != line.npos; });
    std::ranges::for_each(logged, [](std::string& line) { line.erase(0, line.find("]: ") + 3); });
    std::vector<std::string> told = words(follower.output(), "] m");  // master: or main...
    std::ranges::for_each(told, [](std::string& line) { line.erase(0, line.find(": ") + 2); });
    CHECK(told == logged);
    CHECK(told.size() > 15);
    CHECK(told.back().starts_with("stopped: "));
}

TEST_CASE("events: a follower ends when nobody reads it, when it is interrupted, when the master is killed") {
    MasterUnderTest master;
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    UniqueFd reading(ends[0]);
    const UniqueFd writing(ends[1]);
    Child piped = Child::start({DROVER_PROGRAM, "events", "--follow", "-c", master.config_path()},
                               {.output = writing.get()});
    std::array<char, 10> begin{};
    CHECK(::read(reading.get(), begin.data(), begin.size()) == 10);
    // Nothing happens any more, and yet it leaves with its reader.
    reading.reset();
    CHECK(piped.wait_exit() == Exit{0, 0});

    Watcher interrupted(master, "interrupted", {"--follow", "-n", "1"});
    master.wait_until("the last event", [&] { return interrupted.saw("ready: generation 1 serves"); });
    CHECK(lines_in(interrupted.output()).size() == 1);
    interrupted.child().signal(SIGINT);
    CHECK(interrupted.child().wait_exit() == Exit{-1, SIGINT});

    Watcher orphan(master, "orphan", {"--follow"});
    master.wait_until("what was before", [&] { return orphan.saw("ready: "); });
    master.signal(SIGKILL);
    CHECK(orphan.child().wait_exit() == Exit{1, 0});
    CHECK(orphan.saw("the connection to the master has ended"));
    master.wait_exit();
    CHECK(master.wait_orphans());
}

TEST_CASE("events: the last thousand of more are kept, and -n is how many of them") {
    MasterUnderTest master(logs_to_a_file);
    make_events(master.control_path(), 1500);
    const std::vector<json> events = events_of(master);
    REQUIRE(events.size() == 1000);
    CHECK(events.back().at("text") == "pool main: 2 workers");
    for (std::size_t i = 0; i < events.size(); ++i)
        REQUIRE(events[i].at("number") == events.front().at("number").get<std::size_t>() + i);
    const CommandResult three = master.cli({"events", "-n", "3"});
    CHECK(three.code() == 0);
    CHECK(lines_in(three.output).size() == 3);
    CHECK(master.cli({"events", "-n", "0"}).output.empty());
    CHECK(master.cli({"events", "-n", "few"}).code() == 2);
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    Child unheard =
        Child::start({DROVER_PROGRAM, "events", "-c", master.config_path()}, {.output = full.get()});
    CHECK(unheard.wait_exit() == Exit{1, 0});
    master.finish();
}

TEST_CASE("events: followers that are stuck harm nobody") {
    MasterUnderTest master(logs_to_a_file);
    StreamClient asleep = StreamClient::connect_unix(master.control_path());
    asleep.send("{\"command\":\"events\",\"follow\":true}\n");
    CHECK(asleep.read_until("\n").find("\"event\"") != std::string::npos);
    Watcher stopped(master, "stopped", {"--follow", "--json"});
    master.wait_until("it follows", [&] { return stopped.saw("\"ready\""); });
    stopped.child().signal(SIGSTOP);
    HttpLoad load(master.http_port());
    make_events(master.control_path(), 12'000);
    load.stop();
    CHECK_MESSAGE(load.failures() == 0, load.first_failure());
    CHECK(master.status().serving(2));

    stopped.child().signal(SIGCONT);
    CHECK(master.control("reopen").ok);
    master.wait_until("what came last", [&] { return stopped.saw("log files reopened"); });
    std::uint64_t last = 0;
    std::uint64_t missed = 0;
    for (const std::string& line : lines_in(stopped.output())) {
        const json event = json::parse(line);
        if (event.contains("missed")) {
            last += event.at("missed").get<std::uint64_t>();
            missed += event.at("missed").get<std::uint64_t>();
            continue;
        }
        REQUIRE(event.at("number") == ++last);
    }
    CHECK(missed > 1000);
    CHECK(last > 12'000);
    // The one who never woke up does not keep the master.
    master.signal(SIGTERM);
    CHECK(stopped.child().wait_exit() == Exit{0, 0});
    master.wait_exit();
    master.verify_clean();
}

}  // namespace drover::test
