// DatagramServer is a udp listener and the workers' ends of it. Runs in: tests.
#pragma once

#include "core/net/listener.h"
#include "tests/support/run_until.h"
#include "tests/support/udp_client.h"
#include "worker/datagram/datagram_socket.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>

namespace drover::test {

struct CountingThread {
    CountingThread() { detail::counting_thread = true; }
    ~CountingThread() { detail::counting_thread = false; }
};

// What comes is answered with itself unless a test says otherwise.
struct DatagramServer {
    explicit DatagramServer(const std::string& address = "udp:127.0.0.1:0",
                            const ListenerOptions& options = {})
        : listener(Listener::bind(Address::parse(address), options, 1)) {
        add_socket();
    }
    ~DatagramServer() {
        for (const auto& socket : sockets)
            socket->close();
    }

    DatagramSocket& add_socket(std::size_t max_datagram = 65536) {
        sockets.push_back(std::make_shared<DatagramSocket>(
            loop, UniqueFd(::fcntl(listener.socket_for(0), F_DUPFD_CLOEXEC, 0)), buffer,
            DatagramSocket::Handler::to<&DatagramServer::handle>(this)));
        sockets.back()->configure(
            {.listener = 7, .max_datagram = max_datagram, .counters = counters(), .configuration = {}});
        return *sockets.back();
    }
    DatagramSocket& socket() { return *sockets.front(); }
    DatagramCounters counters() {
        return {.received = Counter(&cells[0]),
                .received_bytes = Counter(&cells[1]),
                .sent = Counter(&cells[2]),
                .sent_bytes = Counter(&cells[3]),
                .truncated = Counter(&cells[4]),
                .failed = Counter(&cells[5]),
                .replies_dropped = Counter(&cells[6])};
    }
    bool handle(Module*, const Datagram& datagram) {
        ++handled;
        return script(datagram);
    }
    Address place(const std::string& host) const {
        return Address::parse("udp:" + host + ":" + std::to_string(listener.address().port()));
    }
    // What the client gets while the loop runs.
    std::string answer_to(const UdpClient& client) {
        std::optional<std::string> answer;
        const bool came = run_until(loop, [&] { return (answer = client.take()).has_value(); });
        return came ? *answer : "no answer";
    }

    CountingThread counting;
    EventLoop loop;
    Listener listener;
    DatagramBuffer buffer;
    std::uint64_t cells[7] = {};
    unsigned handled = 0;
    std::function<bool(const Datagram&)> script = [](const Datagram& datagram) {
        datagram.reply(datagram.payload());
        return true;
    };
    std::vector<std::shared_ptr<DatagramSocket>> sockets;
};

}  // namespace drover::test
