// CountingUdpClient asks an echo server on a thread of its own: it sends numbered datagrams, with so many
// under way at a time that no queue can overflow, and knows which were answered. One that is not answered for
// a while makes room for others, and is still waited for. Runs in: tests.
#pragma once

#include "core/net/address.h"
#include "tests/support/udp_client.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <thread>

namespace drover::test {

class CountingUdpClient {
  public:
    struct Totals {
        std::uint64_t sent = 0;
        std::uint64_t answered = 0;
        std::uint64_t unanswered = 0;
        std::uint64_t strange = 0;  // answers to nothing that was asked, or for the second time
    };

    explicit CountingUdpClient(const Address& server);
    ~CountingUdpClient();
    CountingUdpClient(const CountingUdpClient&) = delete;
    CountingUdpClient& operator=(const CountingUdpClient&) = delete;

    std::uint64_t answered() const { return answered_; }
    // Sends no more and waits until all but `may_be_lost` are answered, or the deadline has passed.
    Totals stop(std::uint64_t may_be_lost = 0);

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t window = 64;
    static constexpr std::size_t most_waiting = 250;  // late ones too; 277 small ones fit into 212,992 bytes
    static constexpr std::chrono::milliseconds patience{300};

    void run();
    void send_more();
    void take_answers();

    UdpClient client_;
    std::map<std::uint64_t, Clock::time_point> under_way_;
    std::set<std::uint64_t> late_;
    Totals totals_;
    std::uint64_t may_be_lost_ = 0;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> answered_ = 0;
    std::thread thread_;
};

std::string to_text(const CountingUdpClient::Totals& totals);

}  // namespace drover::test
