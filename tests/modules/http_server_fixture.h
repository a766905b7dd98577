// What the tests of HTTP connections share: a server with routes and limits, and the replies it must give.
// Runs in: tests.
#pragma once

#include "modules/all_modules.h"
#include "modules/http/http_reply.h"
#include "tests/support/worker_fixture.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace drover::test {

inline const char* const routes = R"(
[[module.http.route]]
path = "/"
return = { body = "hello\n" }
[[module.http.route]]
path = "/status"
handler = "status"
[[module.http.route]]
path = "/only/this"
return = { status = 503, type = "a/b", body = "later" }
)";

inline const std::string limits = R"(
[module.http]
max_head = "1K"
max_target = 100
max_headers = 5
max_body = 1000
header_timeout = "10s"
body_timeout = "20s"
idle_timeout = "40s"
send_timeout = "30s"
drain_idle = "1s"
min_rate = 0
)";

struct Server : WorkerFixture {
    explicit Server(const std::string& toml = limits + routes) : WorkerFixture(all_modules(), "http", toml) {}
};

// Of all routes: code is "2xx" and so on.
inline std::uint64_t responses(const WorkerFixture& server, const std::string& code) {
    std::uint64_t sum = 0;
    for (const auto& each : server.counters().sums())
        if (each.name == "drover_http_responses_total" && each.labels.back().value == code) sum += each.value;
    return sum;
}

inline const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
inline const std::string get_close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

// With the date taken out, which is checked to be there and to be as long as it must.
inline std::string without_dates(std::string text) {
    const std::string before = "\r\nDate: ";
    for (std::size_t at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
        const std::size_t end = text.find("\r\n", at + 2);
        CHECK(end - at == before.size() + http::HttpDate::size);
        text.erase(at, end - at);
    }
    return text;
}

inline std::string ok(const std::string& connection = "") {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n" + connection +
           "\r\nhello\n";
}
inline const std::string close_header = "Connection: close\r\n";
inline const std::size_t ok_size = ok().size() + 8 + http::HttpDate::size;

inline std::string error(const std::string& status, const std::string& headers = "") {
    return "HTTP/1.1 " + status +
           "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(status.size() + 1) + "\r\n" +
           headers + "\r\n" + status + "\n";
}

// What comes back until the server ends the connection.
inline std::string exchange_to_end(Server& server, std::string_view bytes) {
    FixtureClient client(server);
    CHECK(client.send(bytes));
    CHECK(client.read_to_end());
    CHECK_FALSE(client.reset());
    return without_dates(client.received());
}

inline std::size_t occurrences(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

}  // namespace drover::test
