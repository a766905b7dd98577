#include "core/loop/deadline_wheel.h"

#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace std::chrono_literals;

namespace {

struct Entry : DeadlineEntry {
    explicit Entry(std::vector<int>& fired_list, int number) : fired(fired_list), name(number) {}
    void on_deadline() override {
        fired.push_back(name);
        if (then) then->reset();
    }

    std::vector<int>& fired;
    int name;
    std::unique_ptr<Entry>* then = nullptr;  // destroyed when this one fires
};

constexpr std::uint32_t ticks(std::chrono::milliseconds time) {
    return static_cast<std::uint32_t>(time / DeadlineWheel::tick);
}

}  // namespace

TEST_CASE("a deadline comes after its time and at most one tick later") {
    EventLoop loop;
    DeadlineWheel wheel(loop);
    std::vector<int> fired;
    Entry entry(fired, 1);
    wheel.set(entry, 1s);
    CHECK(entry.has_deadline());
    wheel.advance(ticks(1s));
    CHECK(fired.empty());
    wheel.advance(1);
    CHECK(fired == std::vector{1});
    CHECK_FALSE(entry.has_deadline());
    wheel.advance(5000);
    CHECK(fired.size() == 1);
}

TEST_CASE("a deadline that was moved later or earlier comes at its new time only") {
    EventLoop loop;
    DeadlineWheel wheel(loop);
    std::vector<int> fired;
    Entry later(fired, 1);
    Entry earlier(fired, 2);
    wheel.set(later, 1s);
    wheel.set(earlier, 10s);
    wheel.advance(5);
    wheel.set(later, 2s);
    wheel.set(earlier, 500ms);
    wheel.advance(6);
    CHECK(fired == std::vector{2});
    wheel.advance(14);
    CHECK(fired.size() == 1);
    wheel.advance(1);
    CHECK(fired == std::vector{2, 1});
}

TEST_CASE("a cleared deadline never comes, and the entry can be set again") {
    EventLoop loop;
    DeadlineWheel wheel(loop);
    std::vector<int> fired;
    Entry entry(fired, 1);
    wheel.set(entry, 1s);
    wheel.clear(entry);
    wheel.advance(20);
    CHECK(fired.empty());
    wheel.set(entry, 1s);
    wheel.advance(11);
    CHECK(fired == std::vector{1});
}

TEST_CASE("a deadline beyond one turn of the wheel comes once, at its time") {
    EventLoop loop;
    DeadlineWheel wheel(loop);
    std::vector<int> fired;
    Entry entry(fired, 1);
    wheel.set(entry, 300s);
    wheel.advance(ticks(300s));
    CHECK(fired.empty());
    wheel.advance(1);
    CHECK(fired == std::vector{1});
}

TEST_CASE("a handler may destroy another entry that is due in the same tick") {
    EventLoop loop;
    DeadlineWheel wheel(loop);
    std::vector<int> fired;
    auto first = std::make_unique<Entry>(fired, 1);
    auto second = std::make_unique<Entry>(fired, 2);
    first->then = &second;
    second->then = &first;
    wheel.set(*first, 1s);
    wheel.set(*second, 1s);
    wheel.advance(11);
    CHECK(fired.size() == 1);
    CHECK((first == nullptr) != (second == nullptr));
}

TEST_CASE("the loop drives the wheel, which sleeps while it is empty") {
    EventLoop loop;
    DeadlineWheel wheel(loop);
    std::vector<int> fired;
    Entry entry(fired, 1);
    wheel.set(entry, 100ms);
    for (int i = 0; i < 100 && fired.empty(); ++i)
        loop.run_once(100ms);
    CHECK(fired == std::vector{1});
    wheel.set(entry, 100ms);
    for (int i = 0; i < 100 && fired.size() < 2; ++i)
        loop.run_once(100ms);
    CHECK(fired.size() == 2);
}

TEST_CASE("a deadline that is set while the loop is late does not come early") {
    EventLoop loop;
    DeadlineWheel wheel(loop);
    std::vector<int> fired;
    Entry other(fired, 1);
    Entry entry(fired, 2);
    // Within what counts as late, and beyond it.
    for (const std::chrono::milliseconds late : {90ms, 190ms, 280ms, 500ms}) {
        fired.clear();
        wheel.set(other, 100s);
        std::this_thread::sleep_for(late);
        const std::int64_t set_at = loop.now_ms();
        wheel.set(entry, 200ms);
        while (fired.empty())
            loop.run_once(10ms);
        CHECK(loop.now_ms() - set_at >= 200);
    }
}
