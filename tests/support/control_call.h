// ControlCall is one command on a master's control socket, whose answer may be waited for later. Runs in:
// tests.
#pragma once

#include "tests/support/http_client.h"

#include <optional>
#include <string>

namespace drover::test {

struct ControlReply {
    bool ok = false;
    std::string text;  // or the error
};

// A master's pool of 2 workers is given that size so many times, which makes an event, and a line of the log,
// each time; on one connection. Throws when it is not done.
void make_events(const std::string& socket_path, std::size_t count);

std::string control_request(const std::string& command, const std::string& format = "");

class ControlCall {
  public:
    ControlCall(const std::string& socket_path, const std::string& command, const std::string& format = "");
    // A whole request, with its newline.
    static ControlCall with_line(const std::string& socket_path, const std::string& line);

    bool unanswered(std::chrono::milliseconds time = std::chrono::milliseconds(0)) {
        return stream_.quiet(time);
    }
    // The answer; the master has closed its end by then, so that it holds nothing of this call.
    ControlReply wait();

  private:
    explicit ControlCall(const std::string& socket_path) : stream_(StreamClient::connect_unix(socket_path)) {}

    StreamClient stream_;
};

}  // namespace drover::test
