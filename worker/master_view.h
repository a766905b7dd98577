// MasterView is what a worker of a pool that observes may ask the master: to bring the status page up to date
// (the figures themselves lie in the counter table: Services::counters.reader()), and to tell what happens.
// At most one question of each kind is under way, so that neither side ever has more than one answer to hold,
// however long the other stands still. Owned by the worker. Runs in: worker.
#pragma once

#include "core/event_loop.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace drover {

class Channel;
struct Message;

class MasterView {
  public:
    // How long the master may take to answer before it is given up on.
    static constexpr std::chrono::milliseconds patience{500};

    // One of the master's events: its number, which is one more than that of the event before it, and what
    // `drover events --json` prints of it, one line without its end. Valid during the call.
    struct Event {
        std::uint64_t number = 0;
        std::string_view json;
    };
    using StatusHandler = std::function<void(bool answered)>;
    using EventHandler = std::function<void(const Event&)>;

    MasterView(EventLoop& loop, Channel& channel);
    MasterView(const MasterView&) = delete;
    MasterView& operator=(const MasterView&) = delete;

    // Calls `done` from the loop, once: the status page is what the master knew after this call, or the
    // master has not answered in time, or is gone, and the page is as it was.
    void ask_status(StatusHandler done);
    // From Module::start: calls `handler` for each event that the master still keeps, the oldest first, and
    // then for each that happens. Numbers that are left out are of events that nobody keeps any more.
    void on_event(EventHandler handler);

    // The worker's part: what came over the channel, and its end.
    void take_status(const Message& message);
    void take_events(const Message& message);
    void disconnect();

  private:
    struct Waiting {
        std::uint64_t question = 0;  // whose answer it waits for
        std::int64_t asked_ms = 0;
        StatusHandler done;
    };

    void send_question();
    void ask_events();
    void on_impatient();
    // Those that `ends` says; they may ask again.
    void answer(bool answered, const std::function<bool(const Waiting&)>& ends);
    void wait_on();

    EventLoop& loop_;
    Channel* channel_;  // null: its end has come
    Timer patience_timer_;
    std::uint64_t sent_ = 0;      // number of the last question
    std::uint64_t answered_ = 0;  // and of the last answer
    std::vector<Waiting> waiting_;
    std::vector<EventHandler> event_handlers_;
    std::uint64_t last_event_ = 0;
};

}  // namespace drover
