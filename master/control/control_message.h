// The lines that travel on the control socket, as text and back; control_message.cpp is the only file that
// includes a JSON parser. Runs in: the master and the command line.
//
// Request: {"command": "reload"}, more members as the command needs them ({"command": "status", "format":
// "json", "progress": true}). Unknown members are ignored: a later command line may send more. Reply: any
// number of {"progress": "..."} or {"event": "..."} lines, then one {"ok": true, "text": "..."} or {"ok":
// false, "error": "..."}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace drover {

inline constexpr unsigned most_events = 1'000'000;  // that can be asked for

struct ControlRequest {
    std::string command;
    std::string format = {};  // "json" or "" (text)
    bool fresh = false;       // reload: new workers whatever has changed
    bool probation = false;   // reload: answered when the new generation's probation has ended
    std::string pool = {};    // workers: empty is the first pool; restart: required
    unsigned count = 0;       // workers: 1 to 1024
    unsigned slot = 0;        // restart: below 1024
    bool progress = false;    // the caller wants progress lines
    // status, as text: counters in place of the screen (master/control/counters_text.h: the pattern)
    std::optional<std::string> counters = {};
    bool follow = false;  // events: those to come, too
    // events: at most so many of those that were, 0 to most_events; none: all
    std::optional<unsigned> last = {};
    std::uint64_t after = 0;  // counter_rows: core/counters/counter_rows.h, RowSource
};

// A request in parsed form, or the reason why the text is no request.
struct ParsedControlRequest {
    ControlRequest request;
    std::string error;  // empty: fine
};

// Runs on bytes from outside: never throws. Commands: reload, stop, quit, reopen, status, config,
// workers, restart, events; counters, whose answer brings the counter table's descriptor along, and
// counter_rows, which brings those of rows (row_batch_text), all read-only.
ParsedControlRequest parse_control_request(std::string_view line) noexcept;

// The service is another one afterwards.
bool changes_something(const ControlRequest& request) noexcept;

// A line of the master's answer.
struct ControlReply {
    enum class Kind : std::uint8_t { progress, event, done, refused, garbage };
    Kind kind = Kind::garbage;
    std::string text;  // progress, an event, the answer, or why there is none
};
ControlReply parse_control_reply(std::string_view line) noexcept;

// Each ends with its newline. Bytes that are no UTF-8 become U+FFFD.
std::string control_request_line(const ControlRequest& request);
std::string control_progress_line(std::string_view text);
std::string control_event_line(std::string_view text);
std::string control_reply_line(bool ok, std::string_view text_or_error);

}  // namespace drover
