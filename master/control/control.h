// The control socket: operators' commands to a running master, one JSON object a line each way, on a unix
// stream socket of mode 0600. Callers other than root and the master's own user are refused (SO_PEERCRED) and
// logged. Bounded in every way: callers at a time, line length, silence, unread answers; descriptors sent
// along are never taken. Nobody here can hold up the master. The lines themselves:
// master/control/control_message.h. Runs in: the master.
//
// A caller has one request at a time; when it is answered the next one is read from the same connection. What
// breaks the rules (a line that is too long or no request) is answered with an error, and the connection
// ends.
#pragma once

#include "core/base/callback.h"
#include "core/base/unique_fd.h"
#include "core/log/log.h"
#include "core/loop/event_loop.h"
#include "master/control/control_message.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

// Names a caller whose answer comes later; a number that is never reused, so that an answer to one who has
// left goes nowhere.
using ControlCaller = std::uint64_t;

class ControlServer {
  public:
    // The request's answer is given by reply(), in the handler or later. The handler may destroy the server.
    using RequestHandler = Callback<void(ControlCaller, const ControlRequest&)>;

    static constexpr std::size_t max_line = 64 * 1024;  // without its newline
    // One more takes the place of the one who has owed us something for the longest: a request, or the
    // reading of his answer. When we owe all of them an answer he is refused.
    static constexpr std::size_t max_callers = 64;
    static constexpr std::size_t max_unread_output = 4 * 1024 * 1024;
    // How long a caller to whom we owe no answer may take to read what he was sent and to send a complete
    // line.
    static constexpr std::chrono::milliseconds silence_limit{10'000};
    // How often it is looked whether one who has closed his sending side, and waits, is still there: what he
    // has left open raises no event.
    static constexpr std::chrono::milliseconds gone_interval{1000};
    // Between two tries of what the machine lacks room or descriptors for, and how long a request is tried.
    static constexpr std::chrono::milliseconds retry_delay{50};
    static constexpr std::chrono::milliseconds shortage_limit{5000};

    // Binds `path`: a stale socket is replaced, a live one refused. Throws std::system_error.
    ControlServer(EventLoop& loop, Log& log, const std::string& path, RequestHandler on_request,
                  std::chrono::milliseconds silence = silence_limit);
    // Ends all connections, which is how those learn of the master's end who were not answered; removes the
    // path.
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    // Binds the path again if it has gone or has come to name another file; true when it had. Callers stay.
    // Throws as the constructor does, with everything as it was.
    bool renew();

    // Sends a progress line if the caller's request asked for them.
    void progress(ControlCaller caller, std::string_view text);
    // Parts of an answer that has no end of its own (events): lines, each with its newline. While what was
    // sent to him before has not left wants_more() is false, and `on_room` is called when that has changed;
    // it must not destroy the server. A caller who left is not known any more.
    using RoomHandler = Callback<void(ControlCaller)>;
    void set_room_handler(RoomHandler on_room) noexcept;
    bool knows(ControlCaller caller) const noexcept;
    bool wants_more(ControlCaller caller) const noexcept;
    void send_lines(ControlCaller caller, std::string_view lines);
    // Answers the caller's request. A caller who is never answered is kept without a time limit.
    void reply(ControlCaller caller, bool ok, std::string_view text_or_error);
    // Answers with success and `fds`, which come with the answer's first byte (SCM_RIGHTS): at most
    // max_message_fds. The caller's next request waits until he has read this.
    void reply_with(ControlCaller caller, std::string_view text, std::vector<UniqueFd> fds);
    // The machine lacks something for the answer: the handler gets the request again after retry_delay. False
    // when that has gone on for shortage_limit, and nothing is done: tell the caller.
    bool ask_again(ControlCaller caller);

  private:
    struct Caller;
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace drover
