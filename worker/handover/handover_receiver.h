// HandoverReceiver takes connections that another worker gives: it makes each one a connection of the module
// that its listener names, sends the acknowledgement, and lets them be read and written when that has left
// (sendmsg(2) has taken it). Until then they are the giver's, which serves on what it has no acknowledgement
// of; unless it is gone or has closed the channel, which leaves them to this worker. A batch for which there
// are no descriptors is answered so, and not taken. Trusts no giver: what is no connection is refused. Owned
// by the worker. Runs in: worker.
#pragma once

#include "core/loop/event_loop.h"
#include "core/protocol/channel.h"
#include "worker/handover/handover_format.h"
#include "worker/module/module.h"

#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

namespace drover {

class ConnectionList;

class HandoverReceiver {
  public:
    // Where connections of the listener called `name` go here; module is null when nothing here serves them.
    // The number is one from first_gone_listener on when there is no such listener here.
    struct Target {
        Module* module = nullptr;
        unsigned listener = 0;
        int family = AF_UNSPEC;  // of its sockets, when it is known
    };
    using FindTarget = std::function<Target(std::string_view listener_name)>;
    // The giver is done or lost. The handler must not destroy the receiver.
    using EndHandler = Callback<void()>;

    // How many more descriptors this process can have for connections.
    using RoomHandler = Callback<std::size_t()>;

    HandoverReceiver(EventLoop& loop, ConnectionList& connections, UniqueFd socket, FindTarget find_target,
                     EndHandler on_end, RoomHandler room = {});
    // What has not been acknowledged is let go: the giver has it.
    ~HandoverReceiver();
    HandoverReceiver(const HandoverReceiver&) = delete;
    HandoverReceiver& operator=(const HandoverReceiver&) = delete;

    bool ended() const noexcept { return !channel_.open(); }
    std::uint64_t taken() const noexcept { return taken_; }

  private:
    // Of a batch; sent in the order of the batches.
    struct Answer {
        bool full = false;
        HandoverAck ack = {};       // when it was taken
        std::uint64_t held = 0;     // the number of what waits for the acknowledgement
        HandoverFull refusal = {};  // when it was not
    };

    void on_message(Message& message);
    void on_cut(Message& message);
    void send_answers();
    void settle_unsent(bool keep);
    void refuse_for_room(const Message& message, std::size_t room);
    void on_closed(std::string_view reason);
    void take_names(std::string_view names);
    void take_batch(Message& message);
    bool take_one(std::string_view& records, std::span<UniqueFd>& fds);

    ConnectionList& connections_;
    FindTarget find_target_;
    EndHandler on_end_;
    RoomHandler room_;
    std::deque<Answer> unsent_;
    std::vector<Target> targets_;  // by the giver's index
    std::string parts_;            // of a record that did not fit into one message
    std::uint64_t taken_ = 0;
    Channel channel_;
};

}  // namespace drover
