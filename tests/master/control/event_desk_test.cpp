#include "master/control/event_desk.h"

#include "tests/master/control/raw_caller.h"
#include "tests/support/run_until.h"
#include "tests/support/temporary_folder.h"

#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::string_view all_request = "{\"command\":\"events\"}\n";
constexpr std::string_view follow_request = "{\"command\":\"events\",\"follow\":true}\n";
constexpr std::string_view end_of_answer = "{\"ok\":true,\"text\":\"\"}\n";

// A desk with its server; every request is for events, but status, which shows that others are served.
struct Desk {
    void on_request(ControlCaller caller, const ControlRequest& request) {
        ++requests;
        if (request.command == "status") return server->reply(caller, true, "fine");
        desk.ask(caller, request);
    }
    void say(std::string_view text) { events.info(EventKind::resize, {}, text); }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    // The server has seen this request.
    RawCaller call(std::string_view request) {
        RawCaller caller(path);
        caller.send(request);
        const int before = requests;
        REQUIRE(until([&] { return requests > before; }));
        return caller;
    }
    bool answers_others() {
        RawCaller other(path);
        other.send("{\"command\":\"status\"}\n");
        return until([&] { return other.received() == "{\"ok\":true,\"text\":\"fine\"}\n"; });
    }

    TemporaryFolder folder;
    std::string path = folder.file("control.sock");
    EventLoop loop;
    Log log{LogIdentity{"master", "", -1}};
    EventLog events{log};
    int requests = 0;
    std::unique_ptr<ControlServer> server = std::make_unique<ControlServer>(
        loop, log, path, ControlServer::RequestHandler::to<&Desk::on_request>(this));
    EventDesk desk{loop, events, *server};
};

// The words of the events received, and the result as it came.
std::vector<std::string> words(const std::string& received) {
    std::vector<std::string> all;
    std::istringstream lines(received);
    for (std::string line; std::getline(lines, line);) {
        const ControlReply reply = parse_control_reply(line);
        const std::size_t start = reply.text.find("master: ");
        const bool is_event = reply.kind == ControlReply::Kind::event && start != std::string::npos;
        all.push_back(is_event ? reply.text.substr(start + 8) : line);
    }
    return all;
}

bool ends(RawCaller& caller) {
    return caller.received().ends_with(end_of_answer);
}

}  // namespace

TEST_CASE("event desk: all that are kept, or the last of them, and the answer ends") {
    Desk desk;
    for (const char* text : {"one", "two", "three"})
        desk.say(text);
    RawCaller all = desk.call(all_request);
    CHECK(desk.until([&] { return ends(all); }));
    CHECK(words(all.received()) ==
          std::vector<std::string>{"one", "two", "three", R"({"ok":true,"text":""})"});
    RawCaller last = desk.call("{\"command\":\"events\",\"last\":2}\n");
    CHECK(desk.until([&] { return ends(last); }));
    CHECK(words(last.received()) == std::vector<std::string>{"two", "three", R"({"ok":true,"text":""})"});
    RawCaller none = desk.call("{\"command\":\"events\",\"last\":0}\n");
    CHECK(desk.until([&] { return none.received() == end_of_answer; }));
}

TEST_CASE("event desk: JSON objects") {
    Desk desk;
    desk.say("one");
    RawCaller caller = desk.call("{\"command\":\"events\",\"format\":\"json\"}\n");
    CHECK(desk.until([&] { return ends(caller); }));
    const std::string received = caller.received();
    const ControlReply reply = parse_control_reply(received.substr(0, received.find('\n')));
    CHECK(reply.text == event_json(*desk.events.next_after(0)));
}

TEST_CASE("event desk: a follower gets what was, then each that comes, and an end when the master ends") {
    Desk desk;
    desk.say("one");
    RawCaller caller = desk.call(follow_request);
    CHECK(desk.until([&] { return caller.lines() == 1; }));
    desk.say("two");
    desk.say("three");
    CHECK(desk.until([&] { return caller.lines() == 3; }));
    desk.say("last");
    desk.desk.close_all();
    CHECK(desk.until([&] { return ends(caller); }));
    CHECK(words(caller.received()) ==
          std::vector<std::string>{"one", "two", "three", "last", R"({"ok":true,"text":""})"});
    desk.say("nobody reads this");
    CHECK(desk.answers_others());
}

TEST_CASE("event desk: who does not read is not waited for, and is told what he has missed") {
    Desk desk;
    RawCaller caller = desk.call(follow_request);
    RawCaller awake = desk.call(follow_request);
    const std::string text(2000, 'x');
    const std::size_t many = 4 * EventLog::capacity;
    std::size_t seen = 0;
    for (std::size_t i = 1; i <= many; ++i) {
        desk.say(std::to_string(i) + text);
        if (i % 100 != 0) continue;
        REQUIRE(desk.until([&] { return awake.lines() == i; }));
        CHECK(desk.answers_others());
    }
    CHECK(desk.until([&] {
        seen = caller.lines();
        return caller.received().find(std::to_string(many) + "xx") != std::string::npos;
    }));
    std::size_t events = 0;
    std::size_t missed = 0;
    for (const std::string& line : words(caller.received())) {
        const std::size_t at = line.find(" events were missed");
        if (at == std::string::npos) {
            ++events;
        } else {
            missed += std::stoul(line.substr(line.find(":\"") + 2));
        }
    }
    CHECK(missed > many / 2);
    CHECK(events + missed == many);
    CHECK(seen > EventLog::capacity);
}

TEST_CASE("event desk: a follower who is stuck at the end is told so, or nothing") {
    Desk desk;
    RawCaller caller = desk.call(follow_request);
    for (std::size_t i = 0; i < EventLog::capacity; ++i)
        desk.say(std::string(2000, 'x'));
    CHECK(desk.answers_others());
    desk.desk.close_all();
    CHECK(desk.until([&] { return caller.received().ends_with("not all events could be sent\"}\n"); }));
}

TEST_CASE("event desk: followers are bounded in number, and those who left make room") {
    Desk desk;
    std::vector<std::unique_ptr<RawCaller>> followers;
    for (std::size_t i = 0; i < EventDesk::max_followers; ++i)
        followers.push_back(std::make_unique<RawCaller>(desk.call(follow_request)));
    RawCaller refused = desk.call(follow_request);
    CHECK(desk.until([&] { return refused.received().find("too many follow") != std::string::npos; }));
    RawCaller short_call = desk.call(all_request);
    CHECK(desk.until([&] { return short_call.lines() == 1; }));
    followers.pop_back();
    CHECK(desk.answers_others());  // the server has seen the end of the one who left, too
    RawCaller next = desk.call(follow_request);
    desk.say("one");
    CHECK(desk.until([&] { return words(next.received()) == std::vector<std::string>{"one"}; }));
}

TEST_CASE("event desk: followers are in nobody's way who only wants what there is") {
    Desk desk;
    desk.say("one");
    std::vector<std::unique_ptr<RawCaller>> followers;
    for (std::size_t i = 0; i < EventDesk::max_followers; ++i)
        followers.push_back(std::make_unique<RawCaller>(desk.call(follow_request)));
    RawCaller caller = desk.call(all_request);
    CHECK(desk.until([&] { return caller.received().ends_with(end_of_answer); }));
}

TEST_CASE("event desk: who does not read what there is gives way to others, the first one first") {
    Desk desk;
    for (std::size_t i = 0; i < EventLog::capacity; ++i)
        desk.say(std::string(2000, 'x'));
    std::vector<std::unique_ptr<RawCaller>> stuck;
    for (std::size_t i = 0; i < EventDesk::max_unread + 1; ++i)
        stuck.push_back(std::make_unique<RawCaller>(desk.call(all_request)));
    CHECK(desk.answers_others());
    CHECK(desk.until([&] { return stuck[0]->received().ends_with("not all events could be sent\"}\n"); }));
    CHECK(desk.until([&] { return stuck[1]->received().ends_with(end_of_answer); }));
}

TEST_CASE("event desk: who asks when the master ends gets what there is, and an end") {
    Desk desk;
    desk.say("one");
    desk.desk.close_all();
    RawCaller caller = desk.call(follow_request);
    CHECK(desk.until([&] { return caller.received().ends_with(end_of_answer); }));
    CHECK(words(caller.received()).front() == "one");
}
