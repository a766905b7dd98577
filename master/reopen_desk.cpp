#include "master/reopen_desk.h"

#include <utility>

#include <fmt/format.h>

namespace drover {

void ReopenDesk::await(ControlCaller caller) {
    callers_.push_back(caller);
    timer_.start_once(patience);
    look();
}

void ReopenDesk::look() {
    if (callers_.empty() || !laggards_().empty()) return;
    timer_.stop();
    for (const ControlCaller caller : std::exchange(callers_, {}))
        server_->reply(caller, true, "log files reopened");
}

void ReopenDesk::on_deadline() {
    const std::vector<std::string> laggards = laggards_();
    if (laggards.empty()) return look();
    constexpr std::size_t most_named = 10;
    std::string names;
    for (std::size_t i = 0; i < laggards.size() && i < most_named; ++i)
        names.append(names.empty() ? "" : ", ").append(laggards[i]);
    if (laggards.size() > most_named) names += fmt::format(" and {} more", laggards.size() - most_named);
    close_all(fmt::format("log files are open again, but {} still wrote to the old ones after {} s", names,
                          std::chrono::duration_cast<std::chrono::seconds>(patience).count()));
}

void ReopenDesk::close_all(const std::string& reason) {
    timer_.stop();
    for (const ControlCaller caller : std::exchange(callers_, {}))
        server_->reply(caller, false, reason);
}

}  // namespace drover
