#include "worker/blocking_pool.h"

#include "tests/support/run_until.h"

#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <signal.h>

using namespace drover;
using namespace drover::test;

namespace {

struct Fixture {
    EventLoop loop;
    Mailbox mailbox{loop};
    int idle = 0;
    BlockingPool pool{mailbox, 3, BlockingPool::IdleHandler::to<&Fixture::on_idle>(this)};

    void on_idle() { ++idle; }
};

}  // namespace

TEST_CASE("blocking work runs on other threads, its end is told on the loop's") {
    Fixture fixture;
    const std::thread::id here = std::this_thread::get_id();
    std::thread::id there;
    bool told_here = false;
    CHECK(fixture.pool.under_way() == 0);
    fixture.pool.run([&] { there = std::this_thread::get_id(); },
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
    fixture.pool.run([] { throw std::runtime_error("the disk is gone"); },
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
        fixture.pool.run(
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
    fixture.pool.run([&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &mask); },
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
        BlockingPool alone(fixture.mailbox, 1);
        alone.run(
            [&begun, released, ended] {
                begun.set_value();
                released.wait();
                ended->set_value();
            },
            [&](const std::exception_ptr&) { told = true; });
        alone.run([&] { told = true; }, {});
        begun.get_future().wait();
    }
    release.set_value();
    ended->get_future().wait();
    CHECK_FALSE(told);
}
