// ObservationDesk answers the workers of pools that observe (worker/master_view.h): it has the status page
// written when one of them asks, once for all that ask in a turn of the loop, and tells events to those that
// wait for one. A worker asks again when it has read the answer: one that stands still is sent nothing more,
// one that asks without waiting is answered its last question.
// Owned by the Master. Runs in: the master.
#pragma once

#include "core/callback.h"
#include "core/channel.h"
#include "core/event_loop.h"
#include "master/event_log.h"

#include <cstdint>
#include <string>
#include <vector>

namespace drover {

class ObservationDesk {
  public:
    using Publish = Callback<void()>;

    // `publish` writes the status page.
    ObservationDesk(EventLoop& loop, EventLog& events, Publish publish);

    // All answers come from the loop, never now: that the status page has been written since; when there is
    // an event after that number.
    void answer_status(Channel& channel, const QuestionMessage& question);
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
    void tell_all();
    bool tell(const Waiting& waiting);

    EventLog& events_;
    Publish publish_;
    std::vector<Waiting> for_status_;
    std::vector<Waiting> for_events_;
    std::string bytes_;  // of a message, kept for its memory
    Timer timer_;
    EventSubscription subscription_;
};

}  // namespace drover
