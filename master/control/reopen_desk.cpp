#include "master/control/reopen_desk.h"

#include <utility>

#include <fmt/format.h>

namespace drover {

void ReopenDesk::await(ControlCaller caller) {
    waiting_.push_back({caller, loop_.now_ms() + patience.count()});
    if (!timer_.started()) timer_.start_once(patience);
    look();
}

void ReopenDesk::look() {
    if (!waiting_.empty() && laggards_().empty()) answer_all(true, "log files reopened");
}

void ReopenDesk::on_deadline() {
    const std::vector<std::string> laggards = laggards_();
    if (laggards.empty()) return look();
    constexpr std::size_t most_named = 10;
    std::string names;
    for (std::size_t i = 0; i < laggards.size() && i < most_named; ++i)
        names.append(names.empty() ? "" : ", ").append(laggards[i]);
    if (laggards.size() > most_named) names += fmt::format(" and {} more", laggards.size() - most_named);
    answer_late(fmt::format("log files are open again, but {} still wrote to the old ones after {} s", names,
                            std::chrono::duration_cast<std::chrono::seconds>(patience).count()));
}

// Those whose time is over, the first at least: the timer was theirs.
void ReopenDesk::answer_late(const std::string& text) {
    const std::int64_t now = loop_.now_ms();
    do {
        server_.reply(waiting_.front().caller, false, text);
        waiting_.pop_front();
    } while (!waiting_.empty() && waiting_.front().end_ms <= now);
    if (!waiting_.empty()) timer_.start_once(std::chrono::milliseconds(waiting_.front().end_ms - now));
}

void ReopenDesk::answer_all(bool ok, const std::string& text) {
    timer_.stop();
    for (const Waiting& each : std::exchange(waiting_, {}))
        server_.reply(each.caller, ok, text);
}

}  // namespace drover
