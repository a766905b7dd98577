// What busy clients lost, against what those who were killed or stopped held. Runs in: tests.
#pragma once

#include "tests/support/busy_clients.h"

#include <cstdint>
#include <set>

#include <doctest/doctest.h>

namespace drover::test {

// Every connection that was closed is one of `held`, the clients' ports.
inline void check_losses(const BusyClients::Totals& totals, const std::multiset<std::uint16_t>& held) {
    CHECK_MESSAGE(totals.not_connected == 0, to_text(totals));
    CHECK_MESSAGE(totals.wrong == 0, to_text(totals));
    CHECK_MESSAGE(totals.unanswered + totals.replies == totals.requests, to_text(totals));
    std::multiset<std::uint16_t> left = held;
    for (const std::uint16_t port : totals.lost_ports) {
        const auto found = left.find(port);
        CHECK_MESSAGE(found != left.end(), "nobody who was killed held the client's port " << port);
        if (found != left.end()) left.erase(found);
    }
}

}  // namespace drover::test
