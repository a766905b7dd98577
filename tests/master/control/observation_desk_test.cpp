#include "master/control/observation_desk.h"

#include "core/log/log.h"
#include "core/memory/shared_memory.h"
#include "tests/support/run_until.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace drover;

namespace {

// The master's desk, and a worker's end of one channel.
struct AskedDesk {
    AskedDesk() {
        auto [ours, theirs] = Channel::make_pair();
        channel = std::make_unique<Channel>(loop, std::move(ours),
                                            Channel::MessageHandler::to<&AskedDesk::on_question>(this),
                                            Channel::ClosedHandler());
        worker = std::make_unique<Channel>(loop, std::move(theirs),
                                           Channel::MessageHandler::to<&AskedDesk::on_answer>(this),
                                           Channel::ClosedHandler());
        log.set_level(LogLevel::critical);
    }
    void publish() { ++published; }
    std::string describe() {
        if (failures > 0 && failures-- > 0) throw std::runtime_error("no memory");
        return "{" + std::to_string(++described) + "}";
    }
    void on_question(Message& message) {
        const auto question = message.as<QuestionMessage>();
        message.type == MessageType::status_wanted ? desk.answer_status(*channel, question, answer)
                                                   : desk.answer_events(*channel, question);
    }
    void on_answer(Message& message) {
        if (message.type == MessageType::status_published)
            return answers.push_back(message.as<QuestionMessage>().number);
        if (message.type == MessageType::status_text) {
            answers.push_back(message.as<QuestionMessage>().number);
            CHECK(is_sealed(message.fds[0].get()));
            char text[16] = {};
            CHECK(::pread(message.fds[0].get(), text, sizeof text - 1, 0) > 0);
            texts.emplace_back(text);
            return;
        }
        lines.emplace_back(message.text().substr(sizeof(EventsMessage)));
        last = message.as<EventsMessage>().last;
    }
    void ask_events(std::uint64_t known) { worker->send(MessageType::events_wanted, QuestionMessage{known}); }
    void record(const std::string& text) { events.info(EventKind::trouble, {}, text); }
    template <class Predicate>
    bool run_until(Predicate done) {
        return test::run_until(loop, done);
    }
    void settle() {
        for (int i = 0; i < 5; ++i)
            loop.run_once(std::chrono::milliseconds(1));
    }
    std::size_t line_count() const {
        return static_cast<std::size_t>(std::ranges::count(lines.back(), '\n'));
    }

    EventLoop loop;
    Log log{{"master", "", -1}};
    EventLog events{log};
    int published = 0;
    int described = 0;
    int failures = 0;
    StatusAnswer answer = StatusAnswer::page;
    ObservationDesk desk{loop, events, ObservationDesk::Publish::to<&AskedDesk::publish>(this),
                         ObservationDesk::Describe::to<&AskedDesk::describe>(this)};
    std::unique_ptr<Channel> channel;
    std::unique_ptr<Channel> worker;
    std::vector<std::uint64_t> answers;
    std::vector<std::string> texts;
    std::vector<std::string> lines;
    std::uint64_t last = 0;
};

}  // namespace

TEST_CASE("the status page is written before a question is answered") {
    AskedDesk desk;
    desk.worker->send(MessageType::status_wanted, QuestionMessage{17});
    REQUIRE(desk.run_until([&] { return !desk.answers.empty(); }));
    CHECK(desk.answers == std::vector<std::uint64_t>{17});
    CHECK(desk.published == 1);
}

TEST_CASE("a worker that does not observe is sent the status as a text, also after a failure to make one") {
    AskedDesk desk;
    desk.answer = StatusAnswer::text;
    desk.failures = 2;
    desk.worker->send(MessageType::status_wanted, QuestionMessage{17});
    REQUIRE(desk.run_until([&] { return !desk.answers.empty(); }));
    CHECK(desk.answers == std::vector<std::uint64_t>{17});
    CHECK(desk.texts == std::vector<std::string>{"{1}"});
    CHECK(desk.published == 3);
    for (std::uint64_t number = 18; number <= 50; ++number)
        desk.desk.answer_status(*desk.channel, {number}, StatusAnswer::text);
    REQUIRE(desk.run_until([&] { return desk.answers.size() == 2; }));
    CHECK(desk.answers.back() == 50);
    CHECK(desk.texts.back() == "{2}");
    desk.desk.answer_status(*desk.channel, {51}, StatusAnswer::text);
    desk.desk.forget(*desk.channel);
    desk.settle();
    CHECK(desk.answers.size() == 2);
}

TEST_CASE("however many questions come in a turn, the status page is written once") {
    AskedDesk desk;
    for (std::uint64_t number = 1; number <= 50; ++number)
        desk.desk.answer_status(*desk.channel, {number}, StatusAnswer::page);
    REQUIRE(desk.run_until([&] { return !desk.answers.empty(); }));
    desk.settle();
    CHECK(desk.published == 1);
    CHECK(desk.answers == std::vector<std::uint64_t>{50});
}

TEST_CASE("a question whose channel ends is forgotten") {
    AskedDesk desk;
    desk.desk.answer_status(*desk.channel, {1}, StatusAnswer::page);
    desk.desk.forget(*desk.channel);
    desk.channel.reset();
    desk.settle();
    CHECK(desk.published == 0);
}

TEST_CASE("what is kept is told at once, what happens in a turn of the loop together, each once") {
    AskedDesk desk;
    desk.record("one");
    desk.record("two");
    desk.ask_events(0);
    REQUIRE(desk.run_until([&] { return desk.lines.size() == 1; }));
    CHECK(desk.line_count() == 2);
    CHECK(desk.last == 2);
    CHECK(desk.lines[0].find("\"text\":\"two\"") != std::string::npos);
    desk.ask_events(2);
    desk.settle();
    CHECK(desk.lines.size() == 1);
    desk.record("three");
    desk.record("four");
    REQUIRE(desk.run_until([&] { return desk.lines.size() == 2; }));
    CHECK(desk.line_count() == 2);
    CHECK(desk.last == 4);
}

TEST_CASE("who does not ask again is told nothing, however much happens") {
    AskedDesk desk;
    desk.ask_events(0);
    desk.settle();
    desk.record("first");
    REQUIRE(desk.run_until([&] { return desk.lines.size() == 1; }));
    for (int i = 0; i < 3000; ++i)
        desk.record("more");
    desk.settle();
    CHECK(desk.lines.size() == 1);
    desk.ask_events(desk.last);
    REQUIRE(desk.run_until([&] { return desk.lines.size() == 2; }));
    CHECK(desk.last <= 3001);
    CHECK(desk.last - desk.line_count() == 3001 - EventLog::capacity);  // the oldest that is kept, less one
}

TEST_CASE("long events fill messages, and none is lost between them") {
    AskedDesk desk;
    for (int i = 0; i < 100; ++i)
        desk.record(std::string(EventLog::max_text, static_cast<char>('a' + i % 26)));
    std::size_t told = 0;
    while (desk.last < 100) {
        desk.ask_events(desk.last);
        const std::size_t before = desk.lines.size();
        REQUIRE(desk.run_until([&] { return desk.lines.size() > before; }));
        told += desk.line_count();
        CHECK(desk.lines.back().size() + sizeof(EventsMessage) <= max_message_payload);
    }
    CHECK(told == 100);
    CHECK(desk.lines.size() > 5);
}

TEST_CASE("a channel that has ended is not told") {
    AskedDesk desk;
    desk.ask_events(0);
    desk.settle();
    desk.desk.forget(*desk.channel);
    desk.channel.reset();
    desk.record("nobody hears");
    desk.settle();
    CHECK(desk.lines.empty());
}
