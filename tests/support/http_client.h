// StreamClient is a raw connection to a server on this machine; HttpClient speaks just enough HTTP/1.1 on
// one. Every wait has a deadline and throws when it passes. Safe on any thread. Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"
#include "tests/support/deadline.h"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace drover::test {

class StreamClient {
  public:
    // Both throw std::system_error.
    static StreamClient connect_tcp(std::uint16_t port);  // of 127.0.0.1
    static StreamClient connect_unix(const std::string& path);

    int fd() const { return socket_.get(); }
    void send(std::string_view bytes);
    void finish_sending();
    // Up to and including `end`.
    std::string read_until(std::string_view end, const Deadline& deadline = Deadline());
    std::string read_exactly(std::size_t size);
    std::string read_to_end();
    // True once the peer has ended the connection in order with nothing left to read; throws on a reset.
    bool ended(const Deadline& deadline = Deadline());
    // Nothing to read and not ended, now and for this long.
    bool quiet(std::chrono::milliseconds time = std::chrono::milliseconds(0));

  private:
    explicit StreamClient(UniqueFd socket) : socket_(std::move(socket)) {}
    bool receive(const Deadline& deadline);  // false: end of file

    UniqueFd socket_;
    std::string unread_;
};

struct HttpReply {
    int status = 0;
    std::string head;  // status line and fields
    std::string body;

    bool keeps_alive() const { return head.find("\r\nConnection: close") == std::string::npos; }
};

class HttpClient {
  public:
    explicit HttpClient(std::uint16_t port) : stream_(StreamClient::connect_tcp(port)) {}

    HttpReply get(std::string_view path = "/", bool keep_alive = true);
    HttpReply read_reply();
    StreamClient& stream() { return stream_; }

  private:
    StreamClient stream_;
};

// One request on a connection of its own.
HttpReply http_get(std::uint16_t port, std::string_view path = "/");

}  // namespace drover::test
