// `drover top`: a running master and its workers, watched live. It maps the counter table, which the master
// hands out (ask_for_counters), and looks once a second; the master has to hand out the rows of workers that
// come, workers have nothing to do for it, and all of them may be stuck. Runs in: the command line.
#pragma once

#include "master/control/control_client.h"

#include <string>

namespace drover::top {

// Until somebody quits. Throws std::runtime_error when there is no terminal, or when the master has ended.
void watch(const CounterSource& source);

// What it would show, after a second: rates need one. Throws likewise.
std::string look_once(const CounterSource& source);

}  // namespace drover::top
