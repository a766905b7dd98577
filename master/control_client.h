// The command line's side of the control socket: sends one request, passes progress lines on, returns the
// answer. Runs in: the command line (blocking).
#pragma once

#include "master/control_message.h"

#include <functional>
#include <string>
#include <string_view>

namespace drover {

struct ControlAnswer {
    bool ok = false;
    std::string text;  // the reply's text, or why there is none
};

using ProgressHandler = std::function<void(std::string_view)>;

// Waits as long as the master is there: a reload takes its time. Throws std::system_error when no master
// listens at `path`.
ControlAnswer ask_master(const std::string& path, const ControlRequest& request,
                         const ProgressHandler& on_progress);

// For a request that ends the master: waits until its process is gone. The master need not answer; a refusal
// ends the wait. Throws like ask_master().
ControlAnswer stop_master(const std::string& path, const ControlRequest& request,
                          const ProgressHandler& on_progress);

}  // namespace drover
