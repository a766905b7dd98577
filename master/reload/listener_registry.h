// ListenerRegistry finds the listeners that generations share: a reload keeps the sockets of an address that
// both generations name, with what waits in their queues. A listener lives as long as a generation holds it.
// Runs in: the master.
#pragma once

#include "conf/settings.h"
#include "core/net/listener.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace drover {

// What a pool needs of a listener when it takes over.
struct ListenerUse {
    std::shared_ptr<Listener> listener;
    ListenerOptions options;
    unsigned slots = 0;                        // sockets that must listen
    const ListenSettings* settings = nullptr;  // for messages; null: none
};

// A listener cannot be had: the system's code, and a text that begins with the listener's place in the
// configuration.
class ListenerError : public std::system_error {
  public:
    ListenerError(const std::system_error& failure, const ListenSettings& settings);
    const char* what() const noexcept override { return text_.what(); }

  private:
    std::runtime_error text_;  // can be copied without an exception
};

// Listens on all, then applies the options where they differ. Throws ListenerError, or another
// std::system_error for a use without settings, with the options of all as they were.
void use_listeners(const std::vector<ListenerUse>& uses);

class ListenerRegistry {
  public:
    // The live listener known by `key` with at least `slots` sockets, or a newly bound one. Nothing that
    // serves is changed: options of a live one are applied when its new user takes over. A unix path that has
    // gone is bound again. An optional address that cannot be had gets a stand-in, and is tried again each
    // time; when it can be had, a new listener is bound, and the stand-in stays as it is. Throws
    // std::system_error (address in use), and std::runtime_error when the live one's balance is another.
    std::shared_ptr<Listener> acquire(const std::string& key, const Address& address,
                                      const ListenerOptions& options, unsigned slots);

    // Those that live and were bound because their path had gone, or could not be had before; asked for once.
    std::vector<std::string> take_renewed();

  private:
    struct Entry {
        std::string key;
        std::weak_ptr<Listener> listener;
    };
    struct Renewed {
        std::weak_ptr<Listener> listener;
        std::string text;
    };
    std::shared_ptr<Listener> bind(const std::string& key, const Address& address,
                                   const ListenerOptions& options, unsigned slots);
    // In place of a stand-in, which it returns while the address cannot be had.
    std::shared_ptr<Listener> bind_again(const std::shared_ptr<Listener>& stand_in, const std::string& key,
                                         const Address& address, const ListenerOptions& options,
                                         unsigned slots);

    std::vector<Entry> entries_;
    std::vector<Renewed> renewed_;
};

}  // namespace drover
