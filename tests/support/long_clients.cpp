#include "tests/support/long_clients.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string_view>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

namespace drover::test {
namespace {

constexpr std::string_view idle_request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr std::string_view slow_start = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";

UniqueFd connect_to(std::uint16_t port) {
    UniqueFd socket(check_call(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check_call(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
               "connect");
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    check_call(::fcntl(socket.get(), F_SETFL, O_NONBLOCK), "fcntl");
    return socket;
}

bool send_all(const UniqueFd& socket, std::string_view bytes) {
    return ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
}

// One reply, which is short and ends with `body`.
bool receives_reply(const UniqueFd& socket, std::string_view body, const Deadline& deadline) {
    std::string reply;
    for (;;) {
        const std::size_t head_end = reply.find("\r\n\r\n");
        if (head_end != std::string::npos && reply.size() >= head_end + 4 + body.size()) {
            return reply.starts_with("HTTP/1.1 200 ") && reply.substr(head_end + 4).starts_with(body);
        }
        pollfd waiting{socket.get(), POLLIN, 0};
        if (::poll(&waiting, 1, deadline.remaining_ms()) != 1) return false;
        std::array<char, 4096> buffer;
        const ssize_t size = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (size <= 0) return false;
        reply.append(buffer.data(), static_cast<std::size_t>(size));
    }
}

}  // namespace

bool raise_descriptor_limit(std::size_t wanted) {
    rlimit limit{};
    check_call(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    if (limit.rlim_cur >= wanted) return true;
    limit.rlim_cur = wanted;
    limit.rlim_max = std::max<rlim_t>(limit.rlim_max, wanted);
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

IdleClients::IdleClients(std::uint16_t port, std::size_t count) : port_(port) {
    add(count);
}

void IdleClients::add(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        sockets_.push_back(connect_to(port_));
}

std::size_t IdleClients::ask(const std::string& body, const Deadline& deadline) {
    std::vector<const UniqueFd*> asked;
    for (const UniqueFd& socket : sockets_) {
        if (send_all(socket, idle_request)) asked.push_back(&socket);
    }
    return static_cast<std::size_t>(std::ranges::count_if(
        asked, [&](const UniqueFd* socket) { return receives_reply(*socket, body, deadline); }));
}

SlowClients::SlowClients(std::uint16_t port, std::size_t count) : port_(port) {
    add(count);
    thread_ = std::thread([this] { dribble(); });
}

void SlowClients::add(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        UniqueFd socket = connect_to(port_);
        send_all(socket, slow_start);
        const std::lock_guard lock(mutex_);
        sockets_.push_back(std::move(socket));
    }
}

SlowClients::~SlowClients() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
}

void SlowClients::dribble() {
    while (!stopping_) {
        {
            const std::lock_guard lock(mutex_);
            for (const UniqueFd& socket : sockets_)
                send_all(socket, "x");
        }
        ::poll(nullptr, 0, 50);
    }
}

std::size_t SlowClients::finish() {
    stopping_ = true;
    thread_.join();
    for (const UniqueFd& socket : sockets_)
        send_all(socket, "\r\n\r\n");
    const Deadline deadline;
    return static_cast<std::size_t>(std::ranges::count_if(
        sockets_, [&](const UniqueFd& socket) { return receives_reply(socket, "", deadline); }));
}

namespace {

constexpr std::size_t period = 65521;
constexpr std::size_t most_under_way = 2 << 20;
constexpr std::size_t most_read_at_once = 32 << 10;  // less than is sent at once

}  // namespace

EchoStreams::EchoStreams(std::uint16_t port, std::size_t count) : streams_(count) {
    std::minstd_rand random(1);
    for (std::size_t i = 0; i < period; ++i)
        pattern_.push_back(static_cast<char>(random() >> 8));
    pattern_ += pattern_;  // any place of it can be looked at as one piece
    for (Stream& stream : streams_)
        stream.socket = connect_to(port);
    thread_ = std::thread([this] { run(); });
}

EchoStreams::~EchoStreams() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
}

EchoStreams::Totals EchoStreams::finish() {
    stopping_ = true;
    thread_.join();
    Totals totals;
    for (const Stream& stream : streams_) {
        totals.sent += stream.sent;
        totals.received += stream.received;
        totals.wrong += stream.wrong ? 1U : 0U;
        totals.cut += stream.ended && stream.received == stream.sent ? 0U : 1U;
    }
    return totals;
}

void EchoStreams::run() {
    std::vector<pollfd> waiting(streams_.size());
    std::unique_ptr<Deadline> last;
    for (;;) {
        if (stopping_ && !last) {
            last = std::make_unique<Deadline>();
            for (const Stream& stream : streams_)
                ::shutdown(stream.socket.get(), SHUT_WR);
        }
        const bool all_ended = std::ranges::all_of(streams_, &Stream::ended);
        if (all_ended || (last && last->passed())) return;
        for (std::size_t i = 0; i < streams_.size(); ++i) {
            const Stream& stream = streams_[i];
            const bool sends = !last && stream.sent - stream.received < most_under_way;
            waiting[i] = {stream.ended ? -1 : stream.socket.get(),
                          static_cast<short>(sends ? POLLIN | POLLOUT : POLLIN), 0};
        }
        ::poll(waiting.data(), waiting.size(), 50);
        for (std::size_t i = 0; i < streams_.size(); ++i) {
            if ((waiting[i].revents & POLLOUT) != 0) fill(streams_[i]);
            if ((waiting[i].revents & ~POLLOUT) != 0) drain(streams_[i]);
        }
    }
}

void EchoStreams::fill(Stream& stream) const {
    const std::size_t room = most_under_way - static_cast<std::size_t>(stream.sent - stream.received);
    const ssize_t size =
        ::send(stream.socket.get(), &pattern_[stream.sent % period], std::min(room, period), MSG_NOSIGNAL);
    if (size > 0) stream.sent += static_cast<std::uint64_t>(size);
}

void EchoStreams::drain(Stream& stream) {
    std::array<char, most_read_at_once> buffer;
    const ssize_t size = ::recv(stream.socket.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        stream.ended = true;
        return;
    }
    const std::string_view came(buffer.data(), static_cast<std::size_t>(size));
    const std::string_view expected(&pattern_[stream.received % period], came.size());
    stream.wrong = stream.wrong || came != expected;
    stream.received += came.size();
    received_ += came.size();
}

}  // namespace drover::test
