#include "tests/support/http_client.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <array>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace drover::test {

StreamClient StreamClient::connect_tcp(std::uint16_t port) {
    UniqueFd socket(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check_call(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect",
               "port " + std::to_string(port));
    const int on = 1;
    setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return StreamClient(std::move(socket));
}

StreamClient StreamClient::connect_unix(const std::string& path) {
    UniqueFd socket(check_call(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    check_call(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect",
               path);
    return StreamClient(std::move(socket));
}

void StreamClient::send(std::string_view bytes) {
    const Deadline deadline;
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(sent));
            continue;
        }
        if (errno != EAGAIN) throw_errno("send");
        pollfd waiting{socket_.get(), POLLOUT, 0};
        if (poll(&waiting, 1, deadline.remaining_ms()) == 0)
            throw std::runtime_error("the peer does not read");
    }
}

void StreamClient::finish_sending() {
    shutdown(socket_.get(), SHUT_WR);
}

bool StreamClient::receive(const Deadline& deadline) {
    pollfd waiting{socket_.get(), POLLIN, 0};
    if (poll(&waiting, 1, deadline.remaining_ms()) == 0) throw std::runtime_error("no answer in time");
    std::array<char, 65536> buffer{};
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) throw_errno("recv");
    unread_.append(buffer.data(), static_cast<std::size_t>(size));
    return size > 0;
}

std::string StreamClient::read_until(std::string_view end, const Deadline& deadline) {
    std::size_t found = 0;
    while ((found = unread_.find(end)) == std::string::npos) {
        if (!receive(deadline)) throw std::runtime_error("connection ended after \"" + unread_ + "\"");
    }
    return read_exactly(found + end.size());
}

std::string StreamClient::read_exactly(std::size_t size) {
    const Deadline deadline;
    while (unread_.size() < size) {
        if (!receive(deadline)) throw std::runtime_error("connection ended after \"" + unread_ + "\"");
    }
    std::string result = unread_.substr(0, size);
    unread_.erase(0, size);
    return result;
}

std::string StreamClient::read_to_end() {
    const Deadline deadline;
    while (receive(deadline)) {
    }
    return std::exchange(unread_, {});
}

bool StreamClient::ended(const Deadline& deadline) {
    return unread_.empty() && !receive(deadline);
}

bool StreamClient::quiet(std::chrono::milliseconds time) {
    pollfd waiting{socket_.get(), POLLIN, 0};
    return unread_.empty() && poll(&waiting, 1, static_cast<int>(time.count())) == 0;
}

HttpReply HttpClient::get(std::string_view path, bool keep_alive) {
    std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n";
    if (!keep_alive) request += "Connection: close\r\n";
    stream_.send(request + "\r\n");
    return read_reply();
}

HttpReply HttpClient::read_reply() {
    HttpReply reply;
    reply.head = stream_.read_until("\r\n\r\n");
    if (!reply.head.starts_with("HTTP/1.")) throw std::runtime_error("not HTTP: " + reply.head);
    reply.status = std::stoi(reply.head.substr(9, 3));
    constexpr std::string_view name = "\r\ncontent-length:";
    const auto same = [](char a, char b) { return ::tolower(a) == b; };
    const auto found = std::search(reply.head.begin(), reply.head.end(), name.begin(), name.end(), same);
    if (found == reply.head.end()) throw std::runtime_error("no Content-Length: " + reply.head);
    reply.body = stream_.read_exactly(std::stoul(std::string(found + name.size(), reply.head.end())));
    return reply;
}

HttpReply http_get(std::uint16_t port, std::string_view path) {
    return HttpClient(port).get(path, false);
}

}  // namespace drover::test
