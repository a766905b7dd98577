// ObservationDesk answers workers (worker/module/master_view.h): it has the status page written when one of a
// pool that observes asks, once for all that ask in a turn of the loop, and tells events to those that wait
// for one. To workers of other pools it sends the status as a text, made once for all that wait, and so
// seldom that they cannot keep the master busy. A worker asks again when it has read the answer: one that
// stands still is sent nothing more, one that asks without waiting is answered its last question. Owned by
// the Master. Runs in: the master.
#pragma once

#include "core/base/callback.h"
#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"
#include "core/protocol/channel.h"
#include "master/event_log.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace drover {

// What a status question is answered with: the status page has been written; the whole status, as JSON.
enum class StatusAnswer : std::uint8_t { page, text };

class ObservationDesk {
  public:
    using Publish = Callback<void()>;
    using Describe = Callback<std::string()>;

    // `publish` writes the status page, `describe` says what it and the counters say as JSON; it may throw.
    ObservationDesk(EventLoop& loop, EventLog& events, Publish publish, Describe describe);

    // All answers come from the loop, never now: the status as it has become since; when there is an event
    // after that number.
    void answer_status(Channel& channel, const QuestionMessage& question, StatusAnswer answer);
    void answer_events(Channel& channel, const QuestionMessage& question);
    // The channel is about to end.
    void forget(const Channel& channel);

  private:
    struct Waiting {
        Channel* channel;
        std::uint64_t number;  // of the question, or of the last event that it has
    };

    static void forget(const Channel& channel, std::vector<Waiting>& waiting);
    void on_event();
    void answer_soon();
    void answer_all();
    void confirm_all();
    void send_texts();
    UniqueFd describe();
    void tell_all();
    bool tell(const Waiting& waiting);

    EventLog& events_;
    Publish publish_;
    Describe describe_;
    std::vector<Waiting> for_status_;
    std::vector<Waiting> for_text_;
    std::vector<Waiting> for_events_;
    std::string bytes_;  // of a message, kept for its memory
    Timer timer_;
    Timer text_timer_;
    std::chrono::steady_clock::time_point next_text_;
    EventSubscription subscription_;
};

}  // namespace drover
