#include "master/supervise/order_desk.h"

#include <utility>

namespace drover {

void OrderDesk::await_size(ControlCaller caller, const Pool& pool, unsigned size) {
    orders_.push_back({.caller = caller, .pool = pool.name(), .size = size});
}

void OrderDesk::await_restart(ControlCaller caller, const Pool& pool, unsigned slot) {
    const WorkerProcess* const worker = pool.serving_in(slot);
    const std::uint64_t instance = worker != nullptr ? worker->identity().instance : 0;
    orders_.push_back({.caller = caller, .pool = pool.name(), .slot = slot, .instance = instance});
}

void OrderDesk::look_at(const Generation& generation) {
    std::erase_if(orders_, [&](const Order& order) { return answer_if_done(order, generation); });
}

bool OrderDesk::answer_if_done(const Order& order, const Generation& generation) {
    const Pool* const pool = generation.find_pool(order.pool);
    const bool has_size = pool != nullptr && pool->size() == order.size;
    if (pool == nullptr || (order.size != 0 && !has_size) || order.slot >= pool->size()) {
        server_.reply(order.caller, false, "pool " + order.pool + " has been given another size meanwhile");
        return true;
    }
    if (order.size != 0) {
        if (pool->serving() < order.size) return false;
        server_.reply(order.caller, true,
                      "pool " + order.pool + ": " + std::to_string(order.size) + " workers serve");
        return true;
    }
    const WorkerProcess* const worker = pool->serving_in(order.slot);
    if (worker == nullptr || worker->identity().instance == order.instance) return false;
    server_.reply(order.caller, true, worker->name() + " serves");
    return true;
}

void OrderDesk::fail_restart(std::string_view pool, unsigned slot, std::string_view reason) {
    fail(pool, slot, false, reason);
}

void OrderDesk::fail_start(std::string_view pool, unsigned slot, std::string_view reason) {
    fail(pool, slot, true, reason);
}

void OrderDesk::fail(std::string_view pool, unsigned slot, bool sizes, std::string_view reason) {
    std::erase_if(orders_, [&](const Order& order) {
        const bool meant = order.pool == pool && (order.size != 0 ? sizes : order.slot == slot);
        if (meant) server_.reply(order.caller, false, reason);
        return meant;
    });
}

void OrderDesk::close_all(std::string_view reason) {
    for (const Order& order : std::exchange(orders_, {}))
        server_.reply(order.caller, false, reason);
}

}  // namespace drover
