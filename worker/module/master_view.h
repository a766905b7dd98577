// MasterView is what a worker may ask the master. Every worker: the service's status. A worker of a pool that
// observes also has a reader of all counters, and is told what happens: status questions bring the status
// page and the reader's rows up to date. At most one question of each kind is under way, so that neither side
// ever has more than one answer to hold, however long the other stands still. Owned by the worker. Runs in:
// worker.
#pragma once

#include "core/counters/counter_reader.h"
#include "core/loop/event_loop.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
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

    // `counters`, in a pool that observes: a reader without a source. Without `counters`, counters() and
    // on_event() throw std::logic_error.
    MasterView(EventLoop& loop, Channel& channel, std::optional<CounterReader> counters = {});
    MasterView(const MasterView&) = delete;
    MasterView& operator=(const MasterView&) = delete;

    bool observes() const noexcept { return counters_.has_value(); }
    // What all workers count, and the status page.
    const CounterReader& counters() const;

    // Calls `done` from the loop, once: status_json() and counters() are what the master knew after this
    // call, or the master has not answered in time, or is gone, and they are as they were.
    void ask_status(StatusHandler done);
    // core/protocol/status_json.h; empty: not known yet.
    std::string status_json() const;
    // From Module::start: calls `handler` for each event that the master still keeps, the oldest first, and
    // then for each that happens. Numbers that are left out are of events that nobody keeps any more.
    void on_event(EventHandler handler);

    // The worker's part: what came over the channel, and its end. They throw std::runtime_error for what was
    // not asked.
    void take_status(Message& message);
    void take_rows(Message& message);
    void lose_rows();  // their descriptors found no room: the answer is without them
    void take_events(const Message& message);
    void disconnect();

  private:
    struct Waiting {
        std::uint64_t question = 0;  // whose answer it waits for
        std::int64_t asked_ms = 0;
        StatusHandler done;
    };

    void send_question();
    void ask_rows();
    void finish_status();
    void ask_events();
    void on_impatient();
    // Those that `ends` says; they may ask again.
    void answer(bool answered, const std::function<bool(const Waiting&)>& ends);
    void wait_on();

    EventLoop& loop_;
    Channel* channel_;  // null: its end has come
    std::optional<CounterReader> counters_;
    std::string status_text_;
    Timer patience_timer_;
    std::uint64_t sent_ = 0;                        // number of the last question
    std::uint64_t answered_ = 0;                    // and of the last answer
    std::optional<std::uint64_t> rows_asked_ = {};  // when the status page is published
    unsigned batches_ = 0;                          // of rows, for one question
    std::vector<Waiting> waiting_;
    std::vector<EventHandler> event_handlers_;
    std::uint64_t last_event_ = 0;
};

}  // namespace drover
