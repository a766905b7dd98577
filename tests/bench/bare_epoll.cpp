// The floor for an HTTP reply: one thread, one epoll loop, one read and one write for each request, and no
// parsing but the search for the empty line. bare_epoll PORT serves on 127.0.0.1 until it is killed.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::string_view reply =
    "HTTP/1.1 200 OK\r\nServer: bare\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
    "Content-Length: 13\r\nConnection: keep-alive\r\n\r\nHello, world\n";

int listen_on(std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(socket, 4096) != 0) {
        std::perror("bare_epoll");
        std::exit(1);
    }
    return socket;
}

void watch(int epoll, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void answer(int connection) {
    std::array<char, 16384> buffer;
    const ssize_t size = read(connection, buffer.data(), buffer.size());
    if (size <= 0) {
        close(connection);
        return;
    }
    const std::string_view input(buffer.data(), static_cast<std::size_t>(size));
    if (input.find("\r\n\r\n") == std::string_view::npos) return;
    if (write(connection, reply.data(), reply.size()) < 0) close(connection);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const int listener = listen_on(static_cast<std::uint16_t>(std::stoi(argv[1])));
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener);
    std::array<epoll_event, 512> events{};
    for (;;) {
        const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
        for (std::size_t i = 0; i < static_cast<std::size_t>(count > 0 ? count : 0); ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                watch(epoll, accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            } else {
                answer(fd);
            }
        }
    }
}
