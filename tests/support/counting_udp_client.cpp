#include "tests/support/counting_udp_client.h"

#include <charconv>
#include <memory>
#include <optional>

namespace drover::test {

CountingUdpClient::CountingUdpClient(const Address& server) : client_(server) {
    thread_ = std::thread([this] { run(); });
}

CountingUdpClient::~CountingUdpClient() {
    stop();
}

CountingUdpClient::Totals CountingUdpClient::stop(std::uint64_t may_be_lost) {
    if (!thread_.joinable()) return totals_;
    may_be_lost_ = may_be_lost;
    stopping_ = true;
    thread_.join();
    totals_.unanswered = under_way_.size() + late_.size();
    return totals_;
}

void CountingUdpClient::run() {
    std::unique_ptr<Deadline> last;
    for (;;) {
        if (stopping_ && !last) last = std::make_unique<Deadline>();
        if (last && (under_way_.size() + late_.size() <= may_be_lost_ || last->passed())) return;
        if (!last) send_more();
        pollfd readable{client_.fd(), POLLIN, 0};
        ::poll(&readable, 1, 10);
        take_answers();
    }
}

void CountingUdpClient::send_more() {
    const Clock::time_point now = Clock::now();
    while (!under_way_.empty() && now - under_way_.begin()->second > patience) {
        late_.insert(under_way_.begin()->first);
        under_way_.erase(under_way_.begin());
    }
    while (under_way_.size() < window && under_way_.size() + late_.size() < most_waiting &&
           client_.send(std::to_string(totals_.sent)))
        under_way_.emplace(totals_.sent++, now);
}

void CountingUdpClient::take_answers() {
    while (const std::optional<std::string> answer = client_.take()) {
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(answer->data(), answer->data() + answer->size(), number);
        const bool is_number = error == std::errc() && end == answer->data() + answer->size();
        if (!is_number || under_way_.erase(number) + late_.erase(number) != 1) {
            ++totals_.strange;
            continue;
        }
        ++totals_.answered;
        ++answered_;
    }
}

std::string to_text(const CountingUdpClient::Totals& totals) {
    return std::to_string(totals.sent) + " sent, " + std::to_string(totals.answered) + " answered, " +
           std::to_string(totals.unanswered) + " not answered, " + std::to_string(totals.strange) +
           " strange";
}

}  // namespace drover::test
