#include "core/loop/mailbox.h"

#include "tests/support/run_until.h"

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;

TEST_CASE("mailbox: what other threads post runs in the loop's thread, each thread's in order") {
    EventLoop loop;
    Mailbox mailbox(loop);
    constexpr int each = 1000;
    std::vector<int> last(4, -1);
    int count = 0;
    bool in_order = true;
    const std::thread::id here = std::this_thread::get_id();
    std::vector<std::thread> threads;
    for (int& mine : last) {
        threads.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                mailbox.post([&, i] {
                    in_order = in_order && mine == i - 1 && std::this_thread::get_id() == here;
                    mine = i;
                    ++count;
                });
            }
        });
    }
    CHECK(run_until(loop, [&] { return count == 4 * each; }));
    CHECK(in_order);
    for (std::thread& thread : threads)
        thread.join();
}

TEST_CASE("mailbox: work may post, and what it throws ends the loop") {
    EventLoop loop;
    Mailbox mailbox(loop);
    std::string order;
    mailbox.post([&] {
        order += 'a';
        mailbox.post([&] { order += 'b'; });
    });
    CHECK(run_until(loop, [&] { return order == "ab"; }));
    mailbox.post([] { throw std::runtime_error("from afar"); });
    CHECK_THROWS_WITH(loop.run(), "from afar");
}
