// MasterCounters are what the master counts itself, in a row of the counter table that is its own: reloads by
// result, workers started, deaths by cause, and what the kernel says of the listeners' queues, once a second.
// Its columns are those of the generation that serves. Owned by the master. Runs in: the master.
#pragma once

#include "core/counters/counter_table.h"
#include "core/log/log.h"
#include "core/loop/event_loop.h"
#include "core/net/listener.h"
#include "core/net/unix_queue.h"
#include "core/protocol/status_page.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace drover {

// Why a worker ended that nobody had told to leave.
enum class DeathCause : std::uint8_t { exit, signal, hang, memory_limit, killed };
const char* to_text(DeathCause cause) noexcept;

class MasterCounters {
  public:
    // Takes a row. Throws as CounterTable::take_row and CounterRow do, std::length_error when none is free.
    MasterCounters(EventLoop& loop, const Log& log, CounterTable& table, std::uint64_t instance);
    ~MasterCounters();
    MasterCounters(const MasterCounters&) = delete;
    MasterCounters& operator=(const MasterCounters&) = delete;

    struct WatchedListener {
        std::string pool;
        std::string address;  // as configured
        std::shared_ptr<Listener> listener;
    };
    // This generation serves from now on, and its counters are declared. Before the first call nothing
    // counts.
    void follow(std::uint64_t generation, const std::vector<WatchedListener>& listeners);

    void count_reload(ReloadResult result) noexcept;
    void count_start() noexcept { starts_.add(); }
    void count_death(DeathCause cause) noexcept;

  private:
    struct DropsSeen {
        std::uint64_t socket = 0;  // its cookie
        std::uint32_t drops = 0;
    };
    struct Queue {
        std::weak_ptr<Listener> listener;
        Gauge waiting;
        Counter drops;
        std::vector<DropsSeen> drops_seen = {};  // of each slot's socket
    };

    void look();
    void look_at(Queue& queue, const Listener& listener);
    static void count_drops(Queue& queue, unsigned slot, int fd);
    std::uint32_t waiting_at(const Address& address, int fd);

    const Log& log_;
    CounterTable& table_;
    std::uint32_t row_;
    CounterRow counters_;
    Counter reloads_[3];  // ok, refused, rolled_back
    Counter starts_;
    Counter deaths_[5];
    Counter log_lost_;
    Gauge generation_;
    std::vector<Queue> queues_;
    UnixQueues unix_queues_;
    Timer timer_;
};

}  // namespace drover
