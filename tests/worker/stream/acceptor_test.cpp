#include "worker/stream/acceptor.h"

#include "core/net/listener.h"
#include "tests/support/in_child.h"
#include "tests/support/run_until.h"

#include <vector>

#include <doctest/doctest.h>
#include <sys/resource.h>

using namespace drover;
using namespace drover::test;

namespace {

struct Door {
    EventLoop loop;
    Listener listener = Listener::bind(Address::parse("127.0.0.1:0"), {.balance = Balance::shared}, 1);
    std::vector<Accepted> accepted;
    std::vector<int> shortages;
    std::size_t pause_at = 1'000'000;
    std::unique_ptr<Acceptor> acceptor;

    Door() {
        listener.listen();
        acceptor =
            std::make_unique<Acceptor>(loop, UniqueFd(::fcntl(listener.socket_for(0), F_DUPFD_CLOEXEC, 0)), 7,
                                       Acceptor::AcceptHandler::to<&Door::take>(this),
                                       Acceptor::ShortageHandler::to<&Door::note_shortage>(this));
    }
    void take(Accepted connection) {
        accepted.push_back(std::move(connection));
        if (accepted.size() == pause_at) acceptor->pause();
    }
    void note_shortage(int error) { shortages.push_back(error); }

    UniqueFd connect() const {
        UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(client.get(), listener.address().data(), listener.address().size()) == 0);
        return client;
    }
};

}  // namespace

TEST_CASE("connections arrive with their listener, non-blocking and close-on-exec") {
    Door door;
    const UniqueFd client = door.connect();
    door.acceptor->start();
    REQUIRE(run_until(door.loop, [&] { return !door.accepted.empty(); }));
    CHECK(door.accepted[0].listener == 7);
    const int fd = door.accepted[0].socket.get();
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a pause in the middle of a batch leaves the rest in the queue, and start takes it") {
    Door door;
    door.pause_at = 3;
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 10; ++i)
        clients.push_back(door.connect());
    door.acceptor->start();
    REQUIRE(run_until(door.loop, [&] { return door.accepted.size() >= 3; }));
    for (int i = 0; i < 5; ++i)
        door.loop.run_once(std::chrono::milliseconds(1));
    CHECK(door.accepted.size() == 3);
    CHECK_FALSE(door.acceptor->accepting());
    door.acceptor->start();
    CHECK(run_until(door.loop, [&] { return door.accepted.size() == 10; }));
}

TEST_CASE("finish takes all that is queued and closes") {
    Door door;
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 100; ++i)
        clients.push_back(door.connect());
    door.acceptor->finish();
    CHECK(door.accepted.size() == 100);
    CHECK_FALSE(door.acceptor->accepting());
    door.acceptor->start();
    CHECK_FALSE(door.acceptor->accepting());
}

TEST_CASE("without a free descriptor the acceptor pauses instead of spinning, and recovers by itself") {
    in_child([] {
        Door door;
        const UniqueFd client = door.connect();
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        const rlim_t before = limit.rlim_cur;
        const UniqueFd next(::dup(0));
        limit.rlim_cur = static_cast<rlim_t>(next.get());
        ::setrlimit(RLIMIT_NOFILE, &limit);
        door.acceptor->start();
        if (!run_until(door.loop, [&] { return !door.shortages.empty(); })) return 1;
        if (door.acceptor->accepting() || door.shortages[0] != EMFILE) return 2;
        for (int i = 0; i < 20; ++i)
            door.loop.run_once(std::chrono::milliseconds(0));
        if (door.shortages.size() > 2) return 3;
        limit.rlim_cur = before;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        return run_until(door.loop, [&] { return door.accepted.size() == 1; }) ? 0 : 4;
    });
}
