#include "master/listener_registry.h"

#include <algorithm>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace drover {

void use_listeners(const std::vector<ListenerUse>& uses) {
    for (const ListenerUse& use : uses)
        use.listener->listen(use.slots);
    std::vector<std::pair<Listener*, ListenerOptions>> before;
    try {
        for (const ListenerUse& use : uses) {
            if (use.listener->options() == use.options) continue;
            before.emplace_back(use.listener.get(), use.listener->options());
            use.listener->set_options(use.options);
        }
    } catch (const std::system_error&) {
        for (const auto& [listener, options] : before)
            listener->set_options(options);
        throw;
    }
}

std::shared_ptr<Listener> ListenerRegistry::acquire(const std::string& key, const Address& address,
                                                    const ListenerOptions& options, unsigned slots) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.listener.expired(); });
    std::vector<std::shared_ptr<Listener>> siblings;
    for (const Entry& entry : entries_)
        siblings.push_back(entry.listener.lock());
    const bool shared = Listener::shares_socket(address, options);
    const unsigned wanted = shared ? 1 : slots;
    for (const Entry& entry : entries_) {
        std::shared_ptr<Listener> listener = entry.listener.lock();
        if (entry.key != key || listener->turned_away()) continue;
        if (listener->absent()) {
            come(*listener, options, wanted, siblings);
            return listener;
        }
        if (listener->shared() != shared) {
            throw std::runtime_error("listener " + address.text() +
                                     ": balance cannot change without a restart");
        }
        const ListenerOptions& live = listener->options();
        if (live.ipv6_only != options.ipv6_only) {
            throw std::runtime_error("listener " + address.text() +
                                     ": ipv6_only cannot change without a restart");
        }
        if (listener->renew()) renewed_.push_back(address.text());
        if (listener->sockets() < wanted) listener->resize(wanted);
        return listener;
    }
    auto listener = std::make_shared<Listener>(bind(address, options, wanted, siblings));
    entries_.push_back({key, listener});
    return listener;
}

Listener ListenerRegistry::bind(const Address& address, const ListenerOptions& options, unsigned slots,
                                const std::vector<std::shared_ptr<Listener>>& siblings) {
    try {
        return Listener::bind(address, options, slots, siblings);
    } catch (const std::system_error& failure) {
        if (!options.optional) throw;
        return Listener::stand_in(address, options, failure.what());
    }
}

void ListenerRegistry::come(Listener& listener, const ListenerOptions& options, unsigned slots,
                            const std::vector<std::shared_ptr<Listener>>& siblings) {
    try {
        listener.come(options, slots, siblings);
        renewed_.push_back(listener.address().text() + " (it could not be had before)");
    } catch (const std::system_error& failure) {
        if (!options.optional) throw;
        listener.set_absence(failure.what());
    }
}

}  // namespace drover
