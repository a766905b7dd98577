#include "worker/module/master_view.h"

#include "core/counters/counter_table.h"
#include "core/memory/shared_memory.h"
#include "core/protocol/channel.h"
#include "tests/support/run_until.h"

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace drover;

namespace {

// A worker's view, and the master's end of the channel, which a test answers from.
struct ViewFixture {
    explicit ViewFixture(bool observes = true) {
        auto [ours, theirs] = Channel::make_pair();
        worker = std::make_unique<Channel>(loop, std::move(ours),
                                           Channel::MessageHandler::to<&ViewFixture::on_answer>(this),
                                           Channel::ClosedHandler::to<&ViewFixture::on_closed>(this));
        master = std::make_unique<Channel>(loop, std::move(theirs),
                                           Channel::MessageHandler::to<&ViewFixture::on_question>(this),
                                           Channel::ClosedHandler());
        view = std::make_unique<MasterView>(
            loop, *worker,
            observes ? std::optional(CounterReader(table.read_only_fd())) : std::optional<CounterReader>());
    }

    void on_answer(Message& message) {
        if (message.type == MessageType::events) return view->take_events(message);
        message.type == MessageType::counter_rows ? view->take_rows(message) : view->take_status(message);
    }
    void on_closed(std::string_view) {
        view->disconnect();
        worker.reset();
    }
    void on_question(Message& message) {
        questions.push_back({message.type, message.as<QuestionMessage>().number});
        if (message.type == MessageType::status_wanted && answers) answer();
        if (message.type == MessageType::counter_rows_wanted) send_rows(message.as<QuestionMessage>().number);
    }
    // As the master does, but for a reader who asks while there are no descriptors.
    void send_rows(std::uint64_t after) const {
        RowBatch batch{.sequence = after, .rows = {}};
        if (!short_of_descriptors) batch = table.rows_after(after);
        std::string bytes(reinterpret_cast<const char*>(&batch.sequence), sizeof batch.sequence);
        std::vector<int> fds;
        for (const RowBatch::Row& row : batch.rows) {
            bytes.append(reinterpret_cast<const char*>(&row.ticket), sizeof row.ticket);
            fds.push_back(row.fd.get());
        }
        master->send(MessageType::counter_rows, std::as_bytes(std::span(bytes)), fds);
    }
    void send_text(const std::string& text) const {
        const UniqueFd fd = create_memfd("master-view-test", text.size(), true);
        REQUIRE(::pwrite(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
        seal_memory(fd.get());
        master->send(MessageType::status_text, QuestionMessage{questions.back().number},
                     std::array{fd.get()});
    }
    void count(std::uint64_t instance) {
        const std::uint32_t row = table.take_row({instance, 1, "main", 0}).value();
        CounterRow(table.read_only_fd(), table.row_fd(row), row, instance).counter("a_total").add();
    }
    void answer() { master->send(MessageType::status_published, QuestionMessage{questions.back().number}); }
    void send_events(std::uint64_t last, const std::string& lines) {
        const EventsMessage head{last};
        std::string bytes(reinterpret_cast<const char*>(&head), sizeof(head));
        master->send_text(MessageType::events, bytes + lines);
    }
    void ask(std::vector<bool>& answers_to) {
        view->ask_status([&answers_to](bool answered) { answers_to.push_back(answered); });
    }
    template <class Predicate>
    bool run_until(Predicate done) {
        return test::run_until(loop, done);
    }

    struct Question {
        MessageType type;
        std::uint64_t number;
    };
    CounterTable table{{.cells = 8, .rows = 200}};
    bool short_of_descriptors = false;
    EventLoop loop;
    std::unique_ptr<Channel> worker;
    std::unique_ptr<Channel> master;
    std::unique_ptr<MasterView> view;
    std::vector<Question> questions;
    bool answers = true;
};

}  // namespace

TEST_CASE("a question is answered") {
    ViewFixture fixture;
    std::vector<bool> answers;
    for (std::size_t i = 1; i <= 3; ++i) {
        fixture.ask(answers);
        CHECK(answers.size() == i - 1);
        REQUIRE(fixture.run_until([&] { return answers.size() == i; }));
        CHECK(answers.back());
        CHECK(fixture.questions.size() == i);
    }
}

TEST_CASE(
    "what is asked while a question is under way waits for the answer to a later one, with all others") {
    ViewFixture fixture;
    fixture.answers = false;
    std::vector<bool> first;
    std::vector<bool> later;
    fixture.ask(first);
    REQUIRE(fixture.run_until([&] { return fixture.questions.size() == 1; }));
    for (int i = 0; i < 100; ++i)
        fixture.ask(later);
    fixture.answer();
    REQUIRE(fixture.run_until([&] { return fixture.questions.size() == 2; }));
    CHECK(first == std::vector<bool>{true});
    CHECK(later.empty());
    fixture.answer();
    REQUIRE(fixture.run_until([&] { return later.size() == 100; }));
    CHECK(fixture.questions.size() == 2);
    CHECK(later == std::vector<bool>(100, true));
}

TEST_CASE("a master that does not answer in time is given up on, asked no more, and believed when it does") {
    ViewFixture fixture;
    fixture.answers = false;
    std::vector<bool> answers;
    fixture.ask(answers);
    REQUIRE(fixture.run_until([&] { return answers.size() == 1; }));
    fixture.ask(answers);
    REQUIRE(fixture.run_until([&] { return answers.size() == 2; }));
    CHECK(answers == std::vector<bool>{false, false});
    CHECK(fixture.questions.size() == 1);
    fixture.answers = true;
    fixture.ask(answers);
    fixture.answer();
    REQUIRE(fixture.run_until([&] { return answers.size() == 3; }));
    CHECK(answers.back());
    CHECK(fixture.questions.size() == 2);
}

TEST_CASE("a master that is gone answers nothing") {
    ViewFixture fixture;
    fixture.answers = false;
    std::vector<bool> answers;
    fixture.ask(answers);
    fixture.master.reset();
    REQUIRE(fixture.run_until([&] { return answers.size() == 1; }));
    fixture.ask(answers);
    REQUIRE(fixture.run_until([&] { return answers.size() == 2; }));
    CHECK(answers == std::vector<bool>{false, false});
    // Nobody waits for it, turn by turn.
    for (std::size_t turn = 3; turn <= 6; ++turn) {
        fixture.ask(answers);
        fixture.loop.run_once(std::chrono::milliseconds(50));
        CHECK(answers.size() == turn);
    }
}

TEST_CASE("an answer may ask the next question") {
    ViewFixture fixture;
    int count = 0;
    std::function<void(bool)> again = [&](bool) {
        if (++count < 3) fixture.view->ask_status(again);
    };
    fixture.view->ask_status(again);
    CHECK(fixture.run_until([&] { return count == 3; }));
    CHECK(fixture.questions.size() == 3);
}

TEST_CASE("events are asked for from the last one known, and numbered") {
    ViewFixture fixture;
    std::vector<std::string> seen;
    fixture.view->on_event([&](const MasterView::Event& event) {
        seen.push_back(std::to_string(event.number) + std::string(event.json));
    });
    REQUIRE(fixture.run_until([&] { return fixture.questions.size() == 1; }));
    CHECK(fixture.questions[0].type == MessageType::events_wanted);
    CHECK(fixture.questions[0].number == 0);
    fixture.send_events(5, "{a}\n{b}\n");
    REQUIRE(fixture.run_until([&] { return fixture.questions.size() == 2; }));
    CHECK(seen == std::vector<std::string>{"4{a}", "5{b}"});
    CHECK(fixture.questions[1].number == 5);
    fixture.send_events(9, "{c}\n");
    REQUIRE(fixture.run_until([&] { return seen.size() == 3; }));
    CHECK(seen.back() == "9{c}");
}

TEST_CASE("events out of order and answers to no question are the master's fault") {
    ViewFixture fixture;
    const auto run = [&] { fixture.run_until([] { return false; }); };
    SUBCASE("events without a line") {
        fixture.send_events(1, "");
    }
    SUBCASE("more lines than there can be") {
        fixture.send_events(1, "{}\n{}\n");
    }
    SUBCASE("an answer") {
        fixture.master->send(MessageType::status_published, QuestionMessage{1});
    }
    CHECK_THROWS(run());
}

TEST_CASE("an answer brings the rows of all workers that there are by then") {
    ViewFixture fixture;
    fixture.table.declare(1, std::vector<CounterDeclaration>{{.name = "a_total"}});
    std::vector<bool> answers;
    const auto ask = [&] {
        const std::size_t before = answers.size();
        fixture.ask(answers);
        REQUIRE(fixture.run_until([&] { return answers.size() == before + 1; }));
        return fixture.view->counters().sum("a_total");
    };
    CHECK(ask() == 0);
    for (std::uint64_t instance = 1; instance <= 150; ++instance)
        fixture.count(instance);
    CHECK(ask() == 150);
    fixture.count(151);
    fixture.short_of_descriptors = true;
    CHECK(ask() == 150);
    fixture.short_of_descriptors = false;
    CHECK(ask() == 151);
    CHECK(fixture.view->status_json().find("\"a_total\": 151") != std::string::npos);
    CHECK(answers == std::vector<bool>(4, true));
}

TEST_CASE("a worker of a pool that does not observe is told the status, and no more") {
    ViewFixture fixture(false);
    fixture.answers = false;
    CHECK(fixture.view->status_json().empty());
    CHECK_THROWS_AS((void)fixture.view->counters(), std::logic_error);
    CHECK_THROWS_AS(fixture.view->on_event([](const MasterView::Event&) {}), std::logic_error);
    std::vector<bool> answers;
    fixture.ask(answers);
    REQUIRE(fixture.run_until([&] { return fixture.questions.size() == 1; }));
    SUBCASE("the text") {
        const std::string text(100'000, '{');
        fixture.send_text(text);
        REQUIRE(fixture.run_until([&] { return answers.size() == 1; }));
        CHECK(answers.front());
        CHECK(fixture.view->status_json() == text);
    }
    SUBCASE("what only those that observe are told") {
        fixture.answer();
        CHECK_THROWS(fixture.run_until([] { return false; }));
    }
    SUBCASE("rows") {
        fixture.send_rows(0);
        CHECK_THROWS(fixture.run_until([] { return false; }));
    }
}
