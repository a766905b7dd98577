// A keep-alive client that costs little, so that the server is what is measured: every connection has one
// request under way; the first reply tells how long each is. http_load PORT CONNECTIONS SECONDS prints how
// many replies came.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view request =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: http_load\r\nAccept: */*\r\n\r\n";

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

// Tries for five seconds: the server may just be starting.
int connect_to(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto end = Clock::now() + std::chrono::seconds(5);
    for (;;) {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
            const int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return fd;
        }
        close(fd);
        if (Clock::now() > end) fail("connect");
        poll(nullptr, 0, 5);
    }
}

void ask(int fd) {
    if (write(fd, request.data(), request.size()) != static_cast<ssize_t>(request.size())) fail("write");
}

std::size_t read_some(int fd) {
    std::array<char, 16384> buffer;
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size <= 0) fail("read");
    return static_cast<std::size_t>(size);
}

// A whole reply arrives in one piece on loopback when it is the first on a quiet connection.
std::size_t reply_size(std::uint16_t port) {
    const int fd = connect_to(port);
    ask(fd);
    const std::size_t size = read_some(fd);
    close(fd);
    return size;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const auto port = static_cast<std::uint16_t>(std::stoi(argv[1]));
    const std::size_t size = reply_size(port);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::vector<std::size_t> missing(65536);  // of the reply under way, by descriptor
    for (int i = 0; i < std::stoi(argv[2]); ++i) {
        const int fd = connect_to(port);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        missing[static_cast<std::size_t>(fd)] = size;
        ask(fd);
    }
    unsigned long replies = 0;
    std::array<epoll_event, 512> events{};
    const auto end = Clock::now() + std::chrono::milliseconds(static_cast<long>(std::stod(argv[3]) * 1000));
    while (Clock::now() < end) {
        const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 100);
        for (std::size_t i = 0; i < static_cast<std::size_t>(count > 0 ? count : 0); ++i) {
            const int fd = events[i].data.fd;
            std::size_t& left = missing[static_cast<std::size_t>(fd)];
            left -= read_some(fd);
            if (left != 0) continue;
            ++replies;
            left = size;
            ask(fd);
        }
    }
    std::printf("%lu\n", replies);
    return 0;
}
