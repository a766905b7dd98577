// ListenerRegistry finds the listeners that generations share: a reload keeps the sockets of an address that
// both generations name, with what waits in their queues. A listener lives as long as a generation holds it.
// Runs in: the master.
#pragma once

#include "core/listener.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace drover {

// What a pool needs of a listener when it takes over.
struct ListenerUse {
    std::shared_ptr<Listener> listener;
    ListenerOptions options;
    unsigned slots = 0;  // sockets that must listen
};

// Listens on all, then applies the options where they differ. Throws std::system_error with the options of
// all as they were.
void use_listeners(const std::vector<ListenerUse>& uses);

class ListenerRegistry {
  public:
    // The live listener known by `key` with at least `slots` sockets, or a newly bound one. Nothing that
    // serves is changed: options of a live one are applied when its new user takes over. A unix path that has
    // gone is bound again; an optional address that cannot be had gets a stand-in, and is tried again each
    // time. Throws
    // std::system_error (address in use), and std::runtime_error when the live one's balance is another.
    std::shared_ptr<Listener> acquire(const std::string& key, const Address& address,
                                      const ListenerOptions& options, unsigned slots);

    // Those that were bound because their path had gone, or could not be had before; asked for once.
    std::vector<std::string> take_renewed() { return std::exchange(renewed_, {}); }

  private:
    struct Entry {
        std::string key;
        std::weak_ptr<Listener> listener;
    };
    static Listener bind(const Address& address, const ListenerOptions& options, unsigned slots,
                         const std::vector<std::shared_ptr<Listener>>& siblings);
    void come(Listener& listener, const ListenerOptions& options, unsigned slots,
              const std::vector<std::shared_ptr<Listener>>& siblings);

    std::vector<Entry> entries_;
    std::vector<std::string> renewed_;
};

}  // namespace drover
