// ObservationDesk answers the workers of pools that observe (worker/master_view.h): it has the status page
// written when one of them asks, and tells events to those that wait for one. A worker is answered once for
// each question, and asks again when it has read the answer: one that stands still is sent nothing more.
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

    void answer_status(Channel& channel, const QuestionMessage& question);
    // Answers when there is an event after that number: from the loop, never now.
    void answer_events(Channel& channel, const QuestionMessage& question);
    // The channel is about to end.
    void forget(const Channel& channel);

  private:
    struct Waiting {
        Channel* channel;
        std::uint64_t known;  // the last event that it has
    };

    void on_event();
    void tell_all();
    bool tell(const Waiting& waiting);

    EventLog& events_;
    Publish publish_;
    std::vector<Waiting> waiting_;
    std::string bytes_;  // of a message, kept for its memory
    Timer timer_;
    EventSubscription subscription_;
};

}  // namespace drover
