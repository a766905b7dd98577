// BusyClients are keep-alive HTTP connections on a thread of their own, each with exactly one request under
// way all the time; one that ends is counted and made anew. What a load tool takes for a matter of course
// counts here: a request without its reply, a connection that the server closed. Runs in: tests, benches.
#pragma once

#include "core/base/unique_fd.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace drover::test {

class BusyClients {
  public:
    struct Totals {
        std::uint64_t requests = 0;
        std::uint64_t replies = 0;
        std::uint64_t unanswered = 0;     // requests whose connection ended before their reply was complete
        std::uint64_t closed = 0;         // connections that the server ended, those with a request included
        std::uint64_t not_connected = 0;  // refused, or reset before anything was asked
        std::uint64_t wrong = 0;          // not 200, or another body than `body_start` and more
        std::uint64_t longest_wait_ms = 0;  // from the request, or the connect before it, to the reply
        std::vector<std::uint16_t> lost_ports =
            {};  // the clients' ports of connections that the server ended

        bool nothing_lost() const { return unanswered + closed + not_connected + wrong == 0; }
    };

    BusyClients(std::uint16_t port, unsigned connections, std::string body_start = "");
    ~BusyClients();
    BusyClients(const BusyClients&) = delete;
    BusyClients& operator=(const BusyClients&) = delete;

    std::uint64_t replies() const { return replies_; }
    // Waits for the replies that are under way and closes; what has not come within ten seconds (longer under
    // sanitizers) is unanswered.
    Totals stop();

  private:
    struct Client;
    using Clock = std::chrono::steady_clock;

    void run();
    void open(Client& client);
    void ask(Client& client);
    void on_event(Client& client);
    void read_reply(Client& client);
    void lose(Client& client);
    void close(Client& client);
    void watch(Client& client, int operation, std::uint32_t events);

    std::uint16_t port_;
    std::string body_start_;
    UniqueFd epoll_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::size_t open_ = 0;
    Totals totals_;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> replies_ = 0;
    std::thread thread_;
};

std::string to_text(const BusyClients::Totals& totals);

}  // namespace drover::test
