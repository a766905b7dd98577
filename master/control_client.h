// The command line's side of the control socket: sends one request, passes progress lines on, returns the answer.
// Runs in: the command line (blocking).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "master/control.h"

namespace drover {

struct ControlAnswer {
    bool ok = false;
    std::string text;  // the reply's text, or why there is none
};

// Waits as long as the master is there: a reload takes its time. Throws std::system_error when no master listens at `path`.
ControlAnswer ask_master(const std::string& path, const ControlRequest& request,
                         const std::function<void(std::string_view)>& on_progress);

}  // namespace drover
