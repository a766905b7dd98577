// The control socket: operators' commands to a running master, one JSON object a line each way, on a unix stream
// socket of mode 0600. Callers other than root and the master's own user are refused (SO_PEERCRED) and logged. Bounded in
// every way: callers at a time, line length, silence, unread answers; descriptors sent along are closed. Nobody here can
// hold up the master. Runs in: the master.
//
// Request: {"command": "reload"}, more members as the command needs them ({"command": "status", "format": "json"}).
// Reply: any number of {"progress": "..."} lines, then one {"ok": true, "text": "..."} or {"ok": false, "error": "..."}.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/event_loop.h"
#include "core/log.h"
#include "core/unique_fd.h"

namespace drover {

struct ControlRequest {
    std::string command;
    std::string format;    // "json" or "" (text)
    bool progress = false;  // the caller wants progress lines
};

// A request in parsed form, or the reason why it is none.
struct ParsedControlRequest {
    ControlRequest request;
    std::string error;  // empty: fine
};
// Runs on bytes from outside: never throws.
ParsedControlRequest parse_control_request(std::string_view line) noexcept;

std::string control_progress_line(std::string_view text);
std::string control_reply_line(bool ok, std::string_view text_or_error);

// Names a caller whose answer comes later; a number that is never reused, so that an answer to one who has left goes nowhere.
using ControlCaller = std::uint64_t;

class ControlServer {
  public:
    // The request's answer is given by reply(), now or later.
    using RequestHandler = Callback<void(ControlCaller, const ControlRequest&)>;

    static constexpr std::size_t max_line = 64 * 1024;
    static constexpr std::size_t max_callers = 64;
    static constexpr std::size_t max_unread_output = 4 * 1024 * 1024;
    static constexpr std::chrono::seconds silence_limit{10};  // for a caller that owes us a complete line

    // Binds `path`: a stale socket is replaced, a live one refused. Throws std::system_error.
    ControlServer(EventLoop& loop, Log& log, const std::string& path, RequestHandler on_request);
    ~ControlServer();  // removes the path
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    void progress(ControlCaller caller, std::string_view text);
    // Answers and closes when the answer has left.
    void reply(ControlCaller caller, bool ok, std::string_view text_or_error);

  private:
    struct Caller;
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace drover
