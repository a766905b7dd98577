// OrderDesk keeps who waits for a pool: until it has the size that was asked for, or until another worker
// serves in a slot. Runs in: the master.
#pragma once

#include "master/control/control.h"
#include "master/reload/generation.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

class OrderDesk {
  public:
    // `server` outlives it.
    explicit OrderDesk(ControlServer& server) noexcept : server_(server) {}

    void await_size(ControlCaller caller, const Pool& pool, unsigned size);
    void await_restart(ControlCaller caller, const Pool& pool, unsigned slot);

    // Answers those whose order is carried out, or cannot be any more: the generation that serves has
    // changed.
    void look_at(const Generation& generation);
    // The worker in the slot could not be replaced.
    void fail_restart(std::string_view pool, unsigned slot, std::string_view reason);
    // A worker of the pool died before it was ready, or none could be started.
    void fail_start(std::string_view pool, unsigned slot, std::string_view reason);
    void close_all(std::string_view reason);

  private:
    struct Order {
        ControlCaller caller = 0;
        std::string pool;
        unsigned size = 0;  // 0: a slot's restart
        unsigned slot = 0;
        std::uint64_t instance = 0;  // that filled the slot; another one is awaited
    };

    void fail(std::string_view pool, unsigned slot, bool sizes, std::string_view reason);
    bool answer_if_done(const Order& order, const Generation& generation);

    ControlServer& server_;
    std::vector<Order> orders_;
};

}  // namespace drover
