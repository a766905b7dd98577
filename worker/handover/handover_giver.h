// HandoverGiver gives the connections of a worker that leaves to others: over a channel to each receiver,
// many connections a message, no more messages unacknowledged than the kernel lets descriptors be under way.
// A connection that was sent is not read any more; on the acknowledgement its copy here is closed. This
// worker serves on the connections that a lost receiver had not acknowledged, and those that were refused; a
// refused one is not offered again. Where this end of the channel fails, and not the receiver, the
// connections that had been sent are the receiver's. A connection that cannot be sent now, for want of
// descriptors or buffers here, over there or in the kernel, is served on here and offered again, to this
// receiver or another, for as long as there is one. Owned by the worker. Runs in: a worker that drains.
#pragma once

#include "core/loop/event_loop.h"
#include "core/protocol/channel.h"
#include "worker/handover/handover_format.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace drover {

class Connection;
class ConnectionList;

class HandoverGiver {
  public:
    // Messages a receiver has not acknowledged, each of up to max_message_fds descriptors; the kernel refuses
    // more descriptors under way than RLIMIT_NOFILE (unix(7), ETOOMANYREFS).
    static constexpr std::size_t window = 3;
    // How long a receiver without room is left alone.
    static constexpr std::chrono::milliseconds rest_time{100};

    // `listeners` names this worker's listeners ("127.0.0.1:80 http"), for receivers that number theirs
    // otherwise; `gone` those that connections still have from before a hot reload.
    HandoverGiver(EventLoop& loop, ConnectionList& connections, const std::vector<std::string>& listeners,
                  const std::vector<std::string>& gone = {});
    ~HandoverGiver();
    HandoverGiver(const HandoverGiver&) = delete;
    HandoverGiver& operator=(const HandoverGiver&) = delete;

    // One more receiver; connections are spread evenly over all.
    void add_receiver(UniqueFd socket);
    // Begins to offer connections; before that receivers are only collected.
    void start();
    bool started() const noexcept { return started_; }

    // Connections may have become movable: they are offered soon.
    void look_again();
    // A connection that is being given is gone.
    void forget(const Connection& connection) noexcept;
    std::uint64_t given() const noexcept { return given_; }

  private:
    struct Batch {
        std::uint64_t sequence = 0;
        std::vector<Connection*> connections;  // null: forgotten
    };
    // A connection whose record does not fit into one message, and travels in parts as there is room.
    struct Large {
        Connection* connection = nullptr;  // null: forgotten; the receiver is told to forget the parts
        std::string record;
        std::size_t sent = 0;
        std::vector<int> fds;  // borrowed from the connection
    };
    struct Receiver {
        Receiver(HandoverGiver& owner, EventLoop& loop, UniqueFd socket);
        void on_message(Message& message);
        void on_room();
        void on_closed(std::string_view reason);

        HandoverGiver& giver;
        Channel channel;
        std::deque<Batch> unacknowledged;
        std::optional<Large> large;                  // being sent
        std::size_t most = max_message_fds;          // descriptors in its next batch
        std::optional<std::int64_t> rests_until_ms;  // it had no room
        bool waits_to_send = false;
        bool lost = false;
    };
    struct Draft;  // a batch being filled

    void pump();
    void give();
    Receiver* next_receiver() noexcept;
    bool fill(Draft& draft, std::size_t most_fds);
    bool send(Receiver& receiver, Draft& draft);
    void send_large(Receiver& receiver);
    bool send_rest(Receiver& receiver);
    void acknowledge(Receiver& receiver, const HandoverAck& ack);
    void hold_back(Receiver& receiver, const HandoverFull& refusal);
    void leave_to(Receiver& receiver);
    void take_back(Receiver& receiver);
    static void keep(const std::vector<Connection*>& connections);

    ConnectionList& connections_;
    EventLoop& loop_;
    std::string listener_names_;
    std::size_t first_gone_name_;
    std::vector<std::unique_ptr<Receiver>> receivers_;
    std::unique_ptr<Draft> draft_;  // while hooks are called for it
    std::size_t turn_ = 0;
    Timer pump_timer_;
    Timer rest_timer_;  // while a receiver rests
    bool started_ = false;
    std::uint64_t sequence_ = 0;
    std::uint64_t given_ = 0;
};

}  // namespace drover
