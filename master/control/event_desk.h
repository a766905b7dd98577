// EventDesk gives the master's events to those who ask for them on the control socket. It keeps no events for
// anyone, only the number of the one that each has had last: who reads too slowly finds that the log has gone
// on without him, and is told how many he missed. Owned by the Master. Runs in: the master.
#pragma once

#include "core/loop/event_loop.h"
#include "master/control/control.h"
#include "master/event_log.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace drover {

class EventDesk {
  public:
    // Those who do not read must leave room for other callers: one more follower is refused; one more of the
    // others takes the place of who has waited for the longest to be read.
    static constexpr std::size_t max_followers = 16;
    static constexpr std::size_t max_unread = 16;

    // All outlive it. The server's room handler is this desk's.
    EventDesk(EventLoop& loop, EventLog& events, ControlServer& server);

    // The events that there are; with `follow` the request is answered when the master ends.
    void ask(ControlCaller caller, const ControlRequest& request);
    // No event comes any more: all are answered, and who asks later gets what there is.
    void close_all();

  private:
    struct Reader {
        ControlCaller caller = 0;
        std::uint64_t last = 0;  // the number of what he has had
        bool json = false;
        bool follow = false;
        bool done = false;  // nothing more is to come for him
    };

    void on_event();
    void on_room(ControlCaller caller);
    void serve_all();
    void drop_done();
    void make_place();
    void give_up(Reader& reader);
    std::size_t count(bool follow) const noexcept;
    void serve(Reader& reader);
    std::string next_lines(Reader& reader) const;

    EventLog& events_;
    ControlServer& server_;
    std::vector<Reader> readers_;
    bool closed_ = false;
    Timer timer_;  // all events of a turn of the loop go together
    EventSubscription subscription_;
};

}  // namespace drover
