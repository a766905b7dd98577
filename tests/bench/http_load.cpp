// The client of the benches: http_load PORT MODE CONNECTIONS SECONDS PATH [DEPTH | RATE] prints how many
// replies came and how many bytes, and, where a rate is kept, the 50th and 99th percentile of latency in
// microseconds. MODE: keep (one request under way on each connection), pipeline (DEPTH in one write), close
// (a connection for each request), rate (RATE requests a second, sent on time whatever the replies do), hold
// (one request on each connection, which then stays open; the number is printed when all are answered).
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
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

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

struct Client {
    int fd = -1;
    std::size_t missing = 0;  // bytes of the replies under way
    Clock::time_point due{};  // of the request under way
};

struct Load {
    std::uint16_t port = 0;
    std::string mode;
    std::size_t depth = 1;
    double rate = 0;
    std::string request;
    std::size_t reply_size = 0;
    int epoll = -1;
    std::vector<Client> clients;
    std::vector<std::size_t> idle;
    std::vector<double> latencies;
    unsigned long replies = 0;
    unsigned long bytes = 0;
};

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

void ask(const Load& load, Client& client) {
    if (write(client.fd, load.request.data(), load.request.size()) !=
        static_cast<ssize_t>(load.request.size()))
        fail("write");
    client.missing = load.reply_size * load.depth;
}

std::size_t read_some(int fd) {
    static std::array<char, 256 * 1024> buffer;
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size <= 0) fail("read");
    return static_cast<std::size_t>(size);
}

// Head and Content-Length of the first reply say how long each is.
std::size_t measure_reply(const Load& load) {
    const int fd = connect_to(load.port);
    if (write(fd, load.request.data(), load.request.size()) < 0) fail("write");
    std::string text;
    std::array<char, 65536> buffer{};
    while (text.find("\r\n\r\n") == std::string::npos) {
        const ssize_t size = read(fd, buffer.data(), buffer.size());
        if (size <= 0) fail("first reply");
        text.append(buffer.data(), static_cast<std::size_t>(size));
    }
    close(fd);
    const std::size_t head = text.find("\r\n\r\n") + 4;
    const std::size_t at = text.find("Content-Length: ");
    if (at == std::string::npos) fail("Content-Length");
    return head + std::stoul(text.substr(at + 16));
}

void open_client(Load& load, std::size_t index) {
    Client& client = load.clients[index];
    client.fd = connect_to(load.port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    epoll_ctl(load.epoll, EPOLL_CTL_ADD, client.fd, &event);
}

void on_readable(Load& load, std::size_t index) {
    Client& client = load.clients[index];
    const std::size_t size = read_some(client.fd);
    load.bytes += size;
    if (size > client.missing) fail("more than was asked for");
    client.missing -= size;
    if (client.missing != 0) return;
    load.replies += load.depth;
    if (load.mode == "rate") {
        load.latencies.push_back(
            std::chrono::duration<double, std::micro>(Clock::now() - client.due).count());
        load.idle.push_back(index);
        return;
    }
    if (load.mode == "hold") {
        if (load.replies < load.clients.size()) return;
        std::printf("%lu\n", load.replies);
        std::fflush(stdout);
        return;
    }
    if (load.mode == "close") {
        close(client.fd);
        open_client(load, index);
    }
    ask(load, client);
}

// Late ones are sent at once, and their lateness counts.
void send_due(Load& load, Clock::time_point& next) {
    const auto period =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / load.rate));
    while (next <= Clock::now() && !load.idle.empty()) {
        Client& client = load.clients[load.idle.back()];
        load.idle.pop_back();
        client.due = next;
        ask(load, client);
        next += period;
    }
}

void run(Load& load, double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    const bool paced = load.mode == "rate";
    Clock::time_point next = Clock::now();
    for (std::size_t index = 0; index < load.clients.size(); ++index) {
        open_client(load, index);
        if (paced) {
            load.idle.push_back(index);
        } else {
            ask(load, load.clients[index]);
        }
    }
    std::array<epoll_event, 512> events{};
    while (Clock::now() < end) {
        if (paced) send_due(load, next);
        const int count =
            epoll_wait(load.epoll, events.data(), static_cast<int>(events.size()), paced ? 0 : 100);
        for (int i = 0; i < count; ++i)
            on_readable(load, events[static_cast<std::size_t>(i)].data.u64);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 6) return 2;
    Load load;
    load.port = static_cast<std::uint16_t>(std::stoi(argv[1]));
    load.mode = argv[2];
    const double last = argc > 6 ? std::stod(argv[6]) : 1;
    if (load.mode == "rate") load.rate = last;
    load.request = "GET " + std::string(argv[5]) +
                   " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: http_load\r\n" + "Accept: */*\r\n" +
                   (load.mode == "close" ? "Connection: close\r\n" : "") + "\r\n";
    load.reply_size = measure_reply(load);
    if (load.mode == "pipeline") {
        load.depth = static_cast<std::size_t>(last);
        const std::string one = load.request;
        for (std::size_t index = 1; index < load.depth; ++index)
            load.request += one;
    }
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.clients.resize(std::stoul(argv[3]));
    run(load, std::stod(argv[4]));
    std::printf("%lu %lu", load.replies, load.bytes);
    if (!load.latencies.empty()) {
        std::ranges::sort(load.latencies);
        const auto percentile = [&](double part) {
            return load
                .latencies[static_cast<std::size_t>(part * static_cast<double>(load.latencies.size() - 1))];
        };
        std::printf(" %.0f %.0f", percentile(0.5), percentile(0.99));
    }
    std::printf("\n");
    return 0;
}
