// HandoverReceiver takes connections that another worker gives: it makes each one a connection of the module
// that its listener names, queues the acknowledgement, and only then lets them be read. Owned by the worker.
// Runs in: worker.
#pragma once

#include "core/channel.h"
#include "core/event_loop.h"
#include "worker/handover_format.h"
#include "worker/module.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

class ConnectionList;

class HandoverReceiver {
  public:
    // Where connections of the listener called `name` go here; module is null when nothing here serves them.
    struct Target {
        Module* module = nullptr;
        unsigned listener = 0;
    };
    using FindTarget = std::function<Target(std::string_view listener_name)>;
    // The giver is done or lost. The handler must not destroy the receiver.
    using EndHandler = Callback<void()>;

    HandoverReceiver(EventLoop& loop, ConnectionList& connections, UniqueFd socket, FindTarget find_target,
                     EndHandler on_end);

    bool ended() const noexcept { return !channel_.open(); }
    std::uint64_t taken() const noexcept { return taken_; }

  private:
    void on_message(Message& message);
    void on_closed(std::string_view reason);
    void take_names(std::string_view names);
    void take_batch(Message& message);
    bool take_one(std::string_view& records, std::span<UniqueFd>& fds);

    ConnectionList& connections_;
    FindTarget find_target_;
    EndHandler on_end_;
    std::vector<Target> targets_;  // by the giver's index
    std::string parts_;            // of a record that did not fit into one message
    std::uint64_t taken_ = 0;
    Channel channel_;
};

}  // namespace drover
