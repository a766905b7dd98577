// A master with an observer, and what the observer says of it. Runs in: tests.
#pragma once

#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"
#include "tests/support/ports.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace drover::test {

// Samples by their name with labels.
inline std::map<std::string, double> samples(const std::string& text) {
    std::map<std::string, double> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('#')) continue;
        const std::size_t blank = line.rfind(' ');
        REQUIRE(blank != std::string::npos);
        const bool is_new = found.emplace(line.substr(0, blank), std::stod(line.substr(blank + 1))).second;
        CHECK_MESSAGE(is_new, line);
    }
    return found;
}

struct Observed {
    explicit Observed(TestConfig given = {}) : config(std::move(given)), master(configure(), {}) {}

    TestConfig& configure() {
        config.rest += "[observer]\nlisten = \"" + port.address() + "\"\n";
        return config;
    }
    HttpReply get(std::string_view path) const { return http_get(port.number(), path); }
    HttpReply get(std::string_view path, const std::string& fields) const {
        HttpClient client(port.number());
        client.stream().send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + fields +
                             "\r\n");
        return client.read_reply();
    }
    std::map<std::string, double> metrics() const { return samples(get("/metrics").body); }
    std::vector<pid_t> pids_of(std::string_view pool) const {
        std::vector<pid_t> pids;
        for (const WorkerView& worker : master.status().workers)
            if (worker.pool == pool && worker.pid != 0) pids.push_back(worker.pid);
        return pids;
    }

    ReservedPort port;
    TestConfig config;
    MasterUnderTest master;
};

// A dashboard without a browser: what /live sends, chunks and all.
struct LiveClient {
    explicit LiveClient(const Observed& service, const std::string& fields = "")
        : stream(StreamClient::connect_tcp(service.port.number())) {
        stream.send("GET /live HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n");
        head = stream.read_until("\r\n\r\n");
    }
    // Up to the next message that has all of these.
    std::string wait_for(const std::vector<std::string>& parts) {
        for (const Deadline deadline;;) {
            REQUIRE_MESSAGE(!deadline.passed(), "no message with " << parts.front());
            std::string message = stream.read_until("\n\n");
            const bool all = std::ranges::all_of(
                parts, [&](const std::string& part) { return message.find(part) != std::string::npos; });
            if (all) return message;
        }
    }

    StreamClient stream;
    std::string head;
};

}  // namespace drover::test
