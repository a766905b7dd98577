// How the master stops: gracefully, at once, or because its start failed.
#include "core/base/visible_text.h"
#include "master/master.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>

namespace drover {

namespace {

// How long workers that were told to leave at once may take before the kernel ends them.
constexpr std::chrono::milliseconds force_time{2000};
// The pools end workers that do not keep to their drain_timeout; after this much more the master ends all.
constexpr std::chrono::milliseconds stop_grace{4000};

}  // namespace

void Master::fail_start(ExitCode code, const std::vector<std::string>& reasons) {
    if (state_ != LifeState::reading && state_ != LifeState::starting) return;
    exit_code_ = code;
    for (const std::string& reason : reasons)
        std::fprintf(stderr, "%s\n", visible_text(reason).c_str());
    handle(LifeEvent::start_failed);
}

void Master::drain(int signal) {
    events_.info(
        EventKind::stop, subject(),
        signal == SIGTERM ? "stopping: workers drain" : "stopping: workers drain without a time limit");
    retire_all(signal);
    std::chrono::milliseconds longest{0};
    for (const Generation* const generation : generations())
        longest = std::max(longest, generation->longest_drain());
    if (signal == SIGTERM) stop_timer_.start_once(longest + stop_grace);
    check_gone();
}

void Master::force() {
    if (current_ != nullptr) events_.info(EventKind::stop, subject(), "stopping: workers leave at once");
    retire_all(SIGINT);
    stop_timer_.start_once(force_time);
    check_gone();
}

void Master::kill_all() {
    events_.warning(EventKind::stop, subject(), "ending the workers that have not left");
    retire_all(SIGKILL);
    stop_timer_.start_once(force_time);
    check_gone();
}

void Master::finish() {
    if (current_ != nullptr) events_.info(EventKind::stop, subject(), "stopped: no worker is left");
    if (service_ != nullptr) service_->event_desk.close_all();
    loop_.stop();
}

bool Master::leftovers_gone() {
    const Leftovers::State state = leftovers_.end();
    std::string pids;
    for (const pid_t pid : leftovers_.pids())
        pids += " " + std::to_string(pid);
    if (state == Leftovers::State::found)
        events_.warning(EventKind::stop, subject(), "ending processes that workers have left behind:" + pids);
    if (state == Leftovers::State::given_up)
        events_.error(EventKind::stop, subject(),
                      "processes that workers have left behind do not end:" + pids);
    return state == Leftovers::State::none || state == Leftovers::State::given_up;
}

void Master::on_stop_deadline() {
    handle(LifeEvent::deadline);
}

// The listening sockets go as well: once the workers have closed theirs, a client is refused at once instead
// of waiting in a queue that nobody serves.
void Master::retire_all(int signal) {
    notifier_.stopping();
    reload_.reset();
    trial_.reset();
    status_.probation_until_ms = 0;
    if (current_ != nullptr) current_->abandon();
    desk_.close_all("the master is stopping");
    if (service_ != nullptr) {
        service_->orders.close_all("the master is stopping");
        service_->reopens.close_all("the master is stopping");
    }
    if (reader_ != nullptr) reader_->cancel();
    abandon_next();
    for (Generation* const generation : generations()) {
        generation->refuse_new();
        generation->retire(signal);
        generation->release_listeners();
    }
}

}  // namespace drover
