#include "worker/module/blocking_pool.h"

#include "core/counters/counter_row.h"
#include "core/counters/counter_table.h"
#include "tests/support/run_until.h"

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <signal.h>

using namespace drover;
using namespace drover::test;

namespace {

struct Fixture {
    EventLoop loop;
    Mailbox mailbox{loop};
    int idle = 0;
    BlockingPool pool{mailbox, {.threads = 3}, {}, BlockingPool::IdleHandler::to<&Fixture::on_idle>(this)};

    void on_idle() { ++idle; }
};

void run(BlockingPool& pool, BlockingPool::Work work, BlockingPool::Done done) {
    REQUIRE(pool.run(std::move(work), std::move(done)));
}

}  // namespace

TEST_CASE("blocking work runs on other threads, its end is told on the loop's") {
    Fixture fixture;
    const std::thread::id here = std::this_thread::get_id();
    std::thread::id there;
    bool told_here = false;
    CHECK(fixture.pool.under_way() == 0);
    run(
        fixture.pool, [&] { there = std::this_thread::get_id(); },
        [&](const std::exception_ptr& failure) {
            told_here = std::this_thread::get_id() == here && failure == nullptr;
        });
    CHECK(fixture.pool.under_way() == 1);
    CHECK(run_until(fixture.loop, [&] { return told_here; }));
    CHECK(there != here);
    CHECK(fixture.pool.under_way() == 0);
    CHECK(fixture.idle == 1);
}

TEST_CASE("what the work throws is told") {
    Fixture fixture;
    std::string text;
    run(
        fixture.pool, [] { throw std::runtime_error("the disk is gone"); },
        [&](const std::exception_ptr& failure) {
            try {
                std::rethrow_exception(failure);
            } catch (const std::exception& error) {
                text = error.what();
            }
        });
    CHECK(run_until(fixture.loop, [&] { return text == "the disk is gone"; }));
}

TEST_CASE("no more threads than allowed, and all work is done once") {
    Fixture fixture;
    std::mutex mutex;
    std::set<std::thread::id> threads;
    int done = 0;
    for (int i = 0; i < 500; ++i) {
        run(
            fixture.pool,
            [&] {
                const std::lock_guard lock(mutex);
                threads.insert(std::this_thread::get_id());
            },
            [&](const std::exception_ptr&) { ++done; });
    }
    CHECK(run_until(fixture.loop, [&] { return done == 500; }));
    CHECK(threads.size() <= 3);
    CHECK(fixture.idle >= 1);
}

TEST_CASE("its threads take no signals") {
    Fixture fixture;
    sigset_t mask;
    sigemptyset(&mask);
    bool done = false;
    run(
        fixture.pool, [&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &mask); },
        [&](const std::exception_ptr&) { done = true; });
    CHECK(run_until(fixture.loop, [&] { return done; }));
    CHECK(sigismember(&mask, SIGTERM) == 1);
    CHECK(sigismember(&mask, SIGHUP) == 1);
}

TEST_CASE("a pool that goes does not wait for what runs, and drops what has not begun") {
    std::promise<void> release;
    const std::shared_future<void> released = release.get_future().share();
    std::promise<void> begun;
    const auto ended = std::make_shared<std::promise<void>>();
    bool told = false;
    {
        Fixture fixture;
        BlockingPool alone(fixture.mailbox, {.threads = 1});
        run(
            alone,
            [&begun, released, ended] {
                begun.set_value();
                released.wait();
                ended->set_value();
            },
            [&](const std::exception_ptr&) { told = true; });
        run(alone, [&] { told = true; }, {});
        begun.get_future().wait();
    }
    release.set_value();
    ended->get_future().wait();
    CHECK_FALSE(told);
}

TEST_CASE("blocking work and its end may hold what can only be moved") {
    Fixture fixture;
    std::string text;
    run(
        fixture.pool, [part = std::make_unique<std::string>("moved")] { part->append(", changed"); },
        [&text, whole = std::make_unique<std::string>("told")](const std::exception_ptr&) { text = *whole; });
    CHECK(run_until(fixture.loop, [&] { return text == "told"; }));
}

TEST_CASE("more jobs than allowed are refused, and counted, until one is done") {
    CounterTable table;
    const std::vector<CounterDeclaration> declared = {
        {.name = "done_total"}, {.name = "refused_total"}, {.name = "active", .kind = CounterKind::gauge}};
    table.declare(1, declared);
    const auto index = table.take_row({.instance = 1, .generation = 1, .pool = "main", .slot = 0});
    CounterRow row(table.read_only_fd(), table.row_fd(index.value()), index.value(), 1);
    const BlockingPool::Counters counters{row.counter("done_total"), row.counter("refused_total"),
                                          row.gauge("active")};
    EventLoop loop;
    Mailbox mailbox(loop);
    BlockingPool pool(mailbox, {.threads = 1, .jobs = 2}, counters);
    std::promise<void> release;
    const std::shared_future<void> released = release.get_future().share();
    int done = 0;
    bool called = false;
    run(
        pool, [released] { released.wait(); }, [&](const std::exception_ptr&) { ++done; });
    run(
        pool, [] {}, [&](const std::exception_ptr&) { ++done; });
    CHECK_FALSE(pool.run([&] { called = true; }, [&](const std::exception_ptr&) { called = true; }));
    CHECK(counters.refused.value() == 1);
    CHECK(counters.under_way.value() == 2);
    release.set_value();
    CHECK(run_until(loop, [&] { return done == 2; }));
    CHECK(counters.under_way.value() == 0);
    CHECK(counters.done.value() == 2);
    run(
        pool, [] {}, [&](const std::exception_ptr&) { ++done; });
    CHECK(run_until(loop, [&] { return done == 3; }));
    CHECK_FALSE(called);
}
