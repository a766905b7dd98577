// ObservationDesk answers the workers of pools that observe (worker/master_view.h): it has the status page
// written when one of them asks, and tells events to those that wait for one. A worker is answered once for
// each question, and asks again when it has read the answer: one that stands still is sent nothing more.
// Owned by the Master. Runs in: the master.
#pragma once

#include "core/callback.h"
#include "core/channel.h"

namespace drover {

class ObservationDesk {
  public:
    using Publish = Callback<void()>;

    // `publish` writes the status page.
    explicit ObservationDesk(Publish publish) noexcept : publish_(publish) {}

    void answer_status(Channel& channel, const QuestionMessage& question);
    // The channel is about to end.
    void forget(const Channel& channel);

  private:
    Publish publish_;
};

}  // namespace drover
