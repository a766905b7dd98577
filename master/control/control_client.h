// The command line's side of the control socket: sends one request, passes progress lines on, returns the
// answer. Runs in: the command line (blocking).
#pragma once

#include "core/base/unique_fd.h"
#include "core/counters/counter_rows.h"
#include "master/control/control_message.h"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace drover {

struct ControlAnswer {
    bool ok = false;
    std::string text;  // the reply's text, or why there is none
};

using ProgressHandler = std::function<void(std::string_view)>;

// `tell` is called, once, when nothing at all has come from the master `after` the call began: it may stand
// still, or lack descriptors. An exception ends the call; else the call goes on waiting. Empty: nothing is
// told.
struct SilenceNotice {
    std::chrono::milliseconds after{5000};
    std::function<void()> tell = {};
};

// Waits as long as the master is there: a reload takes its time, and so does a master that is stopped. Throws
// std::system_error when no master listens at `path`.
ControlAnswer ask_master(const std::string& path, const ControlRequest& request,
                         const ProgressHandler& on_progress, const SilenceNotice& silence = {});

struct CounterSource {
    UniqueFd table;   // read-only, for a CounterReader
    RowSource rows;   // likewise; asks the master at `path` again
    UniqueFd master;  // pidfd_open(2): readable when the master has ended; empty where it cannot be seen
};
// Of the master at `path`. It is answered at once, or not at all. Throws std::system_error when no master
// listens there, std::runtime_error with what it says when it refuses, and when it has not answered within
// `limit`.
inline constexpr std::chrono::milliseconds counters_limit{5000};
CounterSource ask_for_counters(const std::string& path, std::chrono::milliseconds limit = counters_limit);

// Gives every event of the answer to `on_event` until that returns false or `reader_fd` (where the events go)
// has nobody who reads any more; both end the call with success. Waits and throws like ask_master().
using EventHandler = std::function<bool(std::string_view)>;
ControlAnswer ask_for_events(const std::string& path, const ControlRequest& request,
                             const EventHandler& on_event, int reader_fd, const SilenceNotice& silence = {});

// For a request that ends the master: waits until its process is gone. The master need not answer; a refusal
// ends the wait. Throws like ask_master().
ControlAnswer stop_master(const std::string& path, const ControlRequest& request,
                          const ProgressHandler& on_progress, const SilenceNotice& silence = {});

}  // namespace drover
