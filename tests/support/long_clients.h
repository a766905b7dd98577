// Clients that stay: IdleClients hold HTTP connections open between two requests, SlowClients take their time
// over a request's head, EchoStreams send and receive all the time. All stay on the sockets that they began
// with. Runs in: tests, benches.
#pragma once

#include "core/base/unique_fd.h"
#include "tests/support/deadline.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace drover::test {

// False when so many descriptors cannot be had. What this process starts afterwards has the same limit.
bool raise_descriptor_limit(std::size_t wanted);

class IdleClients {
  public:
    // Connects; throws std::system_error.
    IdleClients(std::uint16_t port, std::size_t count);
    void add(std::size_t count);

    // One request on each. How many were answered 200 with this body, whole and on the same socket.
    std::size_t ask(const std::string& body, const Deadline& deadline = Deadline(std::chrono::seconds(30)));

  private:
    std::uint16_t port_;
    std::vector<UniqueFd> sockets_;
};

class SlowClients {
  public:
    // Each sends another byte of its request's head about every 50 ms, on a thread of its own.
    explicit SlowClients(std::uint16_t port, std::size_t count = 0);
    ~SlowClients();
    SlowClients(const SlowClients&) = delete;
    SlowClients& operator=(const SlowClients&) = delete;

    void add(std::size_t count);
    // Sends the rest. How many were answered 200.
    std::size_t finish();

  private:
    void dribble();

    std::uint16_t port_;
    std::mutex mutex_;  // of sockets_
    std::vector<UniqueFd> sockets_;
    std::atomic<bool> stopping_ = false;
    std::thread thread_;
};

// Streams over an echo listener: more is sent than comes back at once, so that bytes wait unread and unsent
// at every moment. The pattern repeats after a prime number of bytes: one that is lost, doubled or moved
// shows.
class EchoStreams {
  public:
    struct Totals {
        std::uint64_t sent = 0;
        std::uint64_t received = 0;
        std::uint64_t wrong = 0;  // streams with a byte that is not the one sent there
        std::uint64_t cut = 0;    // streams whose end did not come, or before or after the last byte
    };

    EchoStreams(std::uint16_t port, std::size_t count);
    ~EchoStreams();
    EchoStreams(const EchoStreams&) = delete;
    EchoStreams& operator=(const EchoStreams&) = delete;

    std::uint64_t received() const { return received_; }
    // Ends its side of each stream and reads to the other's end.
    Totals finish();

  private:
    struct Stream {
        UniqueFd socket;
        std::uint64_t sent = 0;
        std::uint64_t received = 0;
        bool wrong = false;
        bool ended = false;
    };

    void run();
    void fill(Stream& stream) const;
    void drain(Stream& stream);

    std::string pattern_;
    std::vector<Stream> streams_;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> received_ = 0;
    std::thread thread_;
};

}  // namespace drover::test
