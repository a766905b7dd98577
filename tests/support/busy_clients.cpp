#include "tests/support/busy_clients.h"

#include "core/base/system_error.h"
#include "tests/support/deadline.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace drover::test {
namespace {

constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::uint16_t own_port(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

struct Reply {
    bool complete = false;
    bool right = false;
    bool keeps_alive = true;
};

Reply parse_reply(std::string_view input, std::string_view body_start) {
    const std::size_t head_end = input.find("\r\n\r\n");
    if (head_end == std::string_view::npos) return {};
    const std::string_view head = input.substr(0, head_end);
    const std::string_view body = input.substr(head_end + 4);
    constexpr std::string_view name = "\r\nContent-Length: ";
    const std::size_t length = head.find(name);
    if (length == std::string_view::npos) return {.complete = true};
    const std::size_t size = std::stoul(std::string(head.substr(length + name.size(), 12)));
    if (body.size() < size) return {};
    return {.complete = true,
            .right = head.starts_with("HTTP/1.1 200 ") && body.starts_with(body_start) && body.size() == size,
            .keeps_alive = head.find("\r\nConnection: close") == std::string_view::npos};
}

}  // namespace

struct BusyClients::Client {
    UniqueFd socket;
    std::uint16_t port = 0;
    bool connected = false;
    std::string input;
    Clock::time_point since;
};

BusyClients::BusyClients(std::uint16_t port, unsigned connections, std::string body_start)
    : port_(port),
      body_start_(std::move(body_start)),
      epoll_(check_call(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    for (unsigned i = 0; i < connections; ++i)
        clients_.push_back(std::make_unique<Client>());
    thread_ = std::thread([this] { run(); });
}

BusyClients::~BusyClients() {
    stop();
}

BusyClients::Totals BusyClients::stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return totals_;
}

void BusyClients::run() {
    std::array<epoll_event, 64> events{};
    std::unique_ptr<Deadline> last;
    while (!last || (open_ > 0 && !last->passed())) {
        if (stopping_ && !last) last = std::make_unique<Deadline>();
        if (!last && open_ < clients_.size()) {
            for (const auto& client : clients_) {
                if (!client->socket) open(*client);
            }
        }
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 10);
        for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(count, 0)); ++i)
            on_event(*static_cast<Client*>(events[i].data.ptr));
    }
    for (const auto& client : clients_) {
        if (client->socket && client->connected) ++totals_.unanswered;
        if (client->socket && !client->connected) ++totals_.not_connected;
        client->socket.reset();
    }
}

void BusyClients::watch(Client& client, int operation, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &client;
    check_call(::epoll_ctl(epoll_.get(), operation, client.socket.get(), &event), "epoll_ctl");
}

void BusyClients::open(Client& client) {
    client.socket.reset(
        check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    const int on = 1;
    ::setsockopt(client.socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client.connected = false;
    client.since = Clock::now();
    ++open_;
    const int result =
        ::connect(client.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (result != 0 && errno != EINPROGRESS) {
        ++totals_.not_connected;
        return close(client);
    }
    watch(client, EPOLL_CTL_ADD, EPOLLOUT);
}

void BusyClients::on_event(Client& client) {
    if (client.connected) return read_reply(client);
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(client.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        ++totals_.not_connected;
        return close(client);
    }
    client.connected = true;
    client.port = own_port(client.socket.get());
    watch(client, EPOLL_CTL_MOD, EPOLLIN);
    ask(client);
}

void BusyClients::ask(Client& client) {
    client.input.clear();
    ++totals_.requests;
    const ssize_t sent = ::send(client.socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(request.size())) lose(client);
}

void BusyClients::read_reply(Client& client) {
    std::array<char, 16384> buffer;
    const ssize_t size = ::recv(client.socket.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return lose(client);
    client.input.append(buffer.data(), static_cast<std::size_t>(size));
    const Reply reply = parse_reply(client.input, body_start_);
    if (!reply.complete) return;
    ++totals_.replies;
    ++replies_;
    if (!reply.right) ++totals_.wrong;
    const auto now = Clock::now();
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(now - client.since);
    totals_.longest_wait_ms = std::max(totals_.longest_wait_ms, static_cast<std::uint64_t>(waited.count()));
    client.since = now;
    if (!reply.keeps_alive) {
        ++totals_.closed;
        totals_.lost_ports.push_back(client.port);
        return close(client);
    }
    stopping_ ? close(client) : ask(client);
}

void BusyClients::lose(Client& client) {
    ++totals_.unanswered;
    ++totals_.closed;
    totals_.lost_ports.push_back(client.port);
    close(client);
}

void BusyClients::close(Client& client) {
    client.socket.reset();
    --open_;
}

std::string to_text(const BusyClients::Totals& totals) {
    return std::to_string(totals.requests) + " requests, " + std::to_string(totals.replies) + " replies, " +
           std::to_string(totals.unanswered) + " unanswered, " + std::to_string(totals.closed) +
           " connections closed, " + std::to_string(totals.not_connected) + " not connected, " +
           std::to_string(totals.wrong) + " wrong, longest wait " + std::to_string(totals.longest_wait_ms) +
           " ms";
}

}  // namespace drover::test
