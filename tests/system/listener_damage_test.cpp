// What a worker can do to the listening sockets that it shares with its master, done from outside by a copy
// of its descriptors: everybody is answered again a moment later, and the log says what it was.
#include "core/unique_fd.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace drover::test {
namespace {

// Duplicates of the worker's listening sockets on `port`; none where the test may not take them.
std::vector<UniqueFd> listening_sockets_of(pid_t pid, std::uint16_t port) {
    std::vector<UniqueFd> found;
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    for (int number = 3; number < 100; ++number) {
        UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
        if (!copy) continue;
        int listens = 0;
        socklen_t size = sizeof listens;
        sockaddr_in address{};
        socklen_t address_size = sizeof address;
        if (::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0)
            continue;
        if (::getsockname(copy.get(), reinterpret_cast<sockaddr*>(&address), &address_size) != 0) continue;
        if (address.sin_family == AF_INET && ntohs(address.sin_port) == port)
            found.push_back(std::move(copy));
    }
    return found;
}

void check_all_answered(MasterUnderTest& master) {
    for (int i = 0; i < 30; ++i)
        CHECK(master.get() == "first");
}

}  // namespace

TEST_CASE("a listening socket that a worker shut down, blocked or filtered serves again") {
    for (const char* balance : {"reuseport", "shared"}) {
        CAPTURE(balance);
        MasterUnderTest master({.workers = 2, .balance = balance});
        const pid_t worker = master.worker_pids().at(0);
        const std::vector<UniqueFd> sockets = listening_sockets_of(worker, master.http_port());
        if (sockets.empty()) return;
        const int socket = sockets.front().get();

        ::fcntl(socket, F_SETFL, 0);
        master.wait_output("it was made blocking; mended");
        check_all_answered(master);

        ::shutdown(socket, SHUT_RDWR);
        master.wait_output("it was shut down; mended");
        check_all_answered(master);

        sock_filter drop_all = {BPF_RET | BPF_K, 0, 0, 0};
        const sock_fprog program = {1, &drop_all};
        if (::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) {
            const int on = 1;
            REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) == 0);
            master.wait_output("it had its filter locked; bound anew");
            master.wait_output("a listening socket was bound anew", std::string(balance) == "shared" ? 2 : 1);
            master.wait_serving(2);
            master.wait_until("the old ones to leave", [&] { return children_of(master.pid()).size() == 2; });
            check_all_answered(master);
        }
        CHECK(master.status().workers.size() == 2);
        master.finish();
    }
}

}  // namespace drover::test
