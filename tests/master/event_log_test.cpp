#include "master/event_log.h"

#include "tests/core/log/log_reading.h"

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

namespace {

struct KeptEvents {
    FileLog file;
    EventLog events{file.log};

    std::vector<std::string> texts(std::uint64_t after = 0) const {
        std::vector<std::string> all;
        for (const Event* event = nullptr; (event = events.next_after(after)) != nullptr;) {
            all.push_back(event->text);
            after = event->number;
        }
        return all;
    }
};

std::int64_t now_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

TEST_CASE("events: what is recorded is kept, and logged with the same words") {
    KeptEvents kept;
    CHECK(kept.events.last_number() == 0);
    CHECK(kept.events.next_after(0) == nullptr);
    const std::int64_t before = now_ms();
    kept.events.info(EventKind::ready, {.generation = 1}, "ready: generation 1 serves");
    kept.events.error(EventKind::worker_death, {.pool = "main", .slot = 2, .pid = 71, .generation = 1},
                      "worker main/2 (pid 71) killed by signal 9");
    CHECK(kept.texts() == messages_in(kept.file.content()));
    CHECK(kept.texts().size() == 2);
    CHECK(kept.file.content().find("[error]") != std::string::npos);

    const Event* const death = kept.events.next_after(1);
    REQUIRE(death != nullptr);
    CHECK(death->number == 2);
    CHECK(death->kind == EventKind::worker_death);
    CHECK(death->level == LogLevel::error);
    CHECK(death->pool == "main");
    CHECK(death->slot == 2);
    CHECK(death->pid == 71);
    CHECK(death->generation == 1);
    CHECK(death->time_ms >= before);
    CHECK(death->time_ms <= now_ms());
    CHECK(kept.events.next_after(2) == nullptr);
}

TEST_CASE("events: the log's level does not decide what is kept") {
    KeptEvents kept;
    kept.file.log.set_level(LogLevel::error);
    kept.events.info(EventKind::resize, {}, "quiet");
    CHECK(kept.texts() == std::vector<std::string>{"quiet"});
    CHECK(kept.file.content().empty());
}

TEST_CASE("events: the last thousand are kept, and a gap in the numbers is what a reader has missed") {
    KeptEvents kept;
    for (unsigned i = 1; i <= 2 * EventLog::capacity + 7; ++i)
        kept.events.info(EventKind::resize, {.pool = "p" + std::to_string(i)}, std::to_string(i));
    const std::vector<std::string> texts = kept.texts();
    REQUIRE(texts.size() == EventLog::capacity);
    CHECK(texts.front() == std::to_string(EventLog::capacity + 8));
    CHECK(texts.back() == std::to_string(2 * EventLog::capacity + 7));
    const Event* const oldest = kept.events.next_after(3);
    REQUIRE(oldest != nullptr);
    CHECK(oldest->number == EventLog::capacity + 8);
    CHECK(oldest->pool == "p" + std::to_string(oldest->number));
    CHECK(kept.events.next_after(2 * EventLog::capacity + 6)->number == 2 * EventLog::capacity + 7);
    CHECK(kept.events.next_after(5 * EventLog::capacity) == nullptr);
}

TEST_CASE(
    "events: a text is one line without control characters, of bounded length, cut between characters") {
    KeptEvents kept;
    kept.events.info(EventKind::trouble, {}, "a\nb\x1b[31mc");
    CHECK(kept.texts() == std::vector<std::string>{R"(a\nb\x1b[31mc)"});
    std::string umlauts;
    for (unsigned i = 0; i < EventLog::max_text; ++i)
        umlauts += "\u00fc";
    kept.events.info(EventKind::trouble, {}, umlauts);
    const std::string text = kept.texts(1).front();
    CHECK(text.size() <= EventLog::max_text);
    CHECK(text.size() > EventLog::max_text - 10);
    CHECK(text.ends_with("\u00fc..."));
    CHECK(messages_in(kept.file.content()).back() == umlauts);
}

TEST_CASE("events: subscribers are told as long as they live") {
    KeptEvents kept;
    int first = 0;
    int second = 0;
    auto count_first = [&first] { ++first; };
    auto count_second = [&second] { ++second; };
    const EventSubscription subscription(kept.events, EventSubscription::Handler::of(&count_first));
    {
        const EventSubscription other(kept.events, EventSubscription::Handler::of(&count_second));
        kept.events.info(EventKind::stop, {}, "one");
    }
    kept.events.info(EventKind::stop, {}, "two");
    CHECK(first == 2);
    CHECK(second == 1);
}

TEST_CASE("events: as JSON, what an event has not is null") {
    Event event{.number = 7, .time_ms = 1'769'860'800'042, .kind = EventKind::back_off, .text = "a \"b\""};
    CHECK(event_json(event) ==
          R"({"number":7,"time":"2026-01-31T12:00:00.042Z","event":"back_off","level":"info","pool":null,)"
          R"("slot":null,"pid":null,"generation":null,"text":"a \"b\""})");
    event.level = LogLevel::critical;
    event.pool = "main";
    event.slot = 0;
    event.pid = 4711;
    event.generation = 3;
    CHECK(event_json(event) ==
          R"({"number":7,"time":"2026-01-31T12:00:00.042Z","event":"back_off","level":"critical",)"
          R"("pool":"main","slot":0,"pid":4711,"generation":3,"text":"a \"b\""})");
}

TEST_CASE("events: every kind has a name of its own") {
    std::set<std::string> names;
    for (int kind = 0; kind <= static_cast<int>(EventKind::trouble); ++kind)
        names.insert(to_text(static_cast<EventKind>(kind)));
    CHECK(names.size() == static_cast<std::size_t>(EventKind::trouble) + 1);
    CHECK_FALSE(names.contains("unknown"));
}
