// What a worker can do to the listening sockets that it shares with its master, done from outside by a copy
// of its descriptors: everybody is answered again a moment later, and the log says what it was.
#include "core/base/unique_fd.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/proc.h"
#include "tests/support/trouble_program.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace drover::test {
namespace {

bool is_bound_to(const sockaddr_storage& address, std::uint16_t port) {
    const auto& inet = reinterpret_cast<const sockaddr_in&>(address);
    return inet.sin_family == AF_INET && ntohs(inet.sin_port) == port;
}

bool is_bound_to(const sockaddr_storage& address, const std::string& path) {
    const auto& local = reinterpret_cast<const sockaddr_un&>(address);
    return local.sun_family == AF_UNIX && path == local.sun_path;
}

// Duplicates of the process's listening sockets on that port or path; none where the test may not take them.
template <class Place>
std::vector<UniqueFd> listening_sockets_of(pid_t pid, const Place& place) {
    std::vector<UniqueFd> found;
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    for (int number = 3; number < 100; ++number) {
        UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
        if (!copy) continue;
        int listens = 0;
        socklen_t size = sizeof listens;
        sockaddr_storage address{};
        socklen_t address_size = sizeof address;
        if (::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0)
            continue;
        if (::getsockname(copy.get(), reinterpret_cast<sockaddr*>(&address), &address_size) != 0) continue;
        if (is_bound_to(address, place)) found.push_back(std::move(copy));
    }
    return found;
}

void check_all_answered(MasterUnderTest& master) {
    for (int i = 0; i < 30; ++i)
        CHECK(master.get() == "first");
}

// A service with a unix socket, which a shutdown makes useless; a worker that starts while the file `hold`
// (a FIFO) is there waits in its start until release().
struct HeldStart {
    TemporaryFolder folder;
    std::string path = folder.file("socket");
    std::string hold = folder.file("hold");
    MasterUnderTest master{config(hold), trouble_program};

    TestConfig config(const std::string& held_by) const {
        return {.workers = 1,
                .modules = "\"http\", \"echo\", \"trouble\"",
                .rest = "\n[[pool.main.listen]]\naddress = \"unix:" + path + "\"\nmodule = \"trouble\"\n" +
                        "\n[module.trouble]\nin_start = \"obey " + held_by + "\"\n"};
    }

    void make_hold() const { REQUIRE(::mkfifo(hold.c_str(), 0600) == 0); }
    void wait_starting() {
        master.wait_until("a worker that starts", [this] {
            const std::vector<WorkerView> workers = master.status().workers;
            return std::any_of(workers.begin(), workers.end(),
                               [](const WorkerView& worker) { return worker.state == "starting"; });
        });
    }
    // False where the test may not do that.
    bool damage_socket() {
        const std::vector<UniqueFd> copies = listening_sockets_of(master.pid(), path);
        if (copies.empty()) return false;
        ::shutdown(copies.front().get(), SHUT_RDWR);
        master.wait_output("it was shut down; bound again");
        return true;
    }
    void release() {
        UniqueFd end;
        master.wait_until("the worker to wait in its start", [&] {
            end = UniqueFd(::open(hold.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
            return static_cast<bool>(end);
        });
    }
    void check_answers() const {
        StreamClient client = StreamClient::connect_unix(path);
        client.send("hello\n");
        CHECK(client.read_until("\n") == "ok\n");
    }
};

}  // namespace

TEST_CASE("a worker that was starting when its listening socket was bound anew is replaced") {
    HeldStart held;
    held.make_hold();
    ::kill(held.master.worker_pids().at(0), SIGKILL);
    held.wait_starting();
    if (!held.damage_socket()) return held.master.finish();
    held.release();
    held.check_answers();
    held.master.finish();
}

TEST_CASE("a worker that was to take over when its listening socket was bound anew is replaced") {
    HeldStart held;
    held.make_hold();
    ControlCall restart = ControlCall::with_line(held.master.control_path(),
                                                 "{\"command\":\"restart\",\"pool\":\"main\",\"slot\":0}\n");
    held.wait_starting();
    if (!held.damage_socket()) return held.master.finish();
    held.release();
    CHECK(restart.wait().ok);
    held.check_answers();
    held.master.finish();
}

TEST_CASE("a generation that was starting when a listening socket was bound again has its workers replaced") {
    HeldStart held;
    held.hold = held.folder.file("hold of the next");
    held.make_hold();
    held.master.write_config(held.config(held.hold));
    ControlCall reload = held.master.start_control("reload");
    held.wait_starting();
    if (!held.damage_socket()) return held.master.finish();
    held.release();
    CHECK(reload.wait().ok);
    held.check_answers();
    held.master.finish();
}

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

        const int nearest = 255;  // clients on this machine send 64
        REQUIRE(::setsockopt(socket, IPPROTO_IP, IP_MINTTL, &nearest, sizeof nearest) == 0);
        master.wait_output("it had other options: IP_MINTTL; mended");
        check_all_answered(master);

        sock_filter drop_all = {BPF_RET | BPF_K, 0, 0, 0};
        const sock_fprog program = {1, &drop_all};
        if (::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0) {
            const int on = 1;
            REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) == 0);
            master.wait_output("it had its filter locked; bound again");
            master.wait_output("a listening socket was bound again",
                               std::string(balance) == "shared" ? 2 : 1);
            master.wait_serving(2);
            master.wait_until("the old ones to leave", [&] { return children_of(master.pid()).size() == 2; });
            check_all_answered(master);
        }
        CHECK(master.status().workers.size() == 2);
        master.finish();
    }
}

}  // namespace drover::test
