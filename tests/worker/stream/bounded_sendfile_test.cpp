#include "worker/stream/bounded_sendfile.h"

#include "core/base/unique_fd.h"
#include "tests/support/in_child.h"
#include "tests/worker/stream/shared_file.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

constexpr std::size_t sent_file_size = 8'000'000;
constexpr std::size_t copied_step = 65'536;

// A client that reads nothing, and the worker's end of it.
struct UnreadSocket {
    std::array<UniqueFd, 2> ends;
    SharedFd file = make_file(std::string(sent_file_size, 'f'));
    BoundedSendfile sendfile;

    UnreadSocket() {
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0)
            ::_exit(90);
        ends = {UniqueFd(pair[0]), UniqueFd(pair[1])};
        ::alarm(20);  // who waits dies of it
    }
    ssize_t send() { return sendfile.send(ends[0].get(), file->get(), 0, sent_file_size); }
    std::size_t read_all() {
        std::string bytes(sent_file_size, ' ');
        std::size_t received = 0;
        for (ssize_t size = 1; size > 0;) {
            size = ::recv(ends[1].get(), bytes.data(), bytes.size(), 0);
            if (size > 0) received += static_cast<std::size_t>(size);
        }
        return received;
    }
    // What another holder does.
    void make_blocking() { ::fcntl(ends[0].get(), F_SETFL, 0); }
};

}  // namespace

TEST_CASE("a file goes out in one step as far as the socket takes it, and a full socket says so") {
    in_child([] {
        UnreadSocket socket;
        const ssize_t sent = socket.send();
        if (sent <= static_cast<ssize_t>(copied_step)) return 1;
        if (socket.send() >= 0 || errno != EAGAIN) return 2;
        if (socket.sendfile.copies()) return 3;
        return socket.read_all() == static_cast<std::size_t>(sent) ? 0 : 4;
    });
}

TEST_CASE("a socket that another holder makes blocking keeps nobody waiting, and is copied to afterwards") {
    in_child([] {
        UnreadSocket socket;
        socket.make_blocking();
        const ssize_t sent = socket.send();
        if (!socket.sendfile.copies()) return 1;
        if (sent < 0 && errno != EINTR) return 2;
        std::size_t all = sent > 0 ? static_cast<std::size_t>(sent) : 0;
        ssize_t more = 0;
        while ((more = socket.send()) > 0)
            all += static_cast<std::size_t>(more);
        if (errno != EAGAIN) return 3;
        return socket.read_all() == all ? 0 : 4;
    });
}

TEST_CASE("a user that may have no more timers copies") {
    in_child([] {
        const rlimit none{.rlim_cur = 0, .rlim_max = 0};
        if (::setrlimit(RLIMIT_SIGPENDING, &none) != 0) return 1;
        UnreadSocket socket;
        const ssize_t sent = socket.send();
        if (!socket.sendfile.copies()) return 2;
        return sent > 0 && socket.read_all() == static_cast<std::size_t>(sent) ? 0 : 3;
    });
}
