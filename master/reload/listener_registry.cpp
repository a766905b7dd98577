#include "master/reload/listener_registry.h"

#include "conf/reader/address_fault.h"
#include "core/base/visible_text.h"

#include <algorithm>
#include <utility>

namespace drover {

namespace {

template <class Attempt>
void attempt(const ListenerUse& use, const Attempt& attempted) {
    try {
        attempted();
    } catch (const std::system_error& failure) {
        if (use.settings == nullptr) throw;
        throw ListenerError(failure, *use.settings);
    }
}

}  // namespace

ListenerError::ListenerError(const std::system_error& failure, const ListenSettings& settings)
    : std::system_error(failure.code()),
      text_(visible_text(settings.place) + ": " +
            address_fault(failure, settings.address, settings.address_text)) {}

void use_listeners(const std::vector<ListenerUse>& uses) {
    for (const ListenerUse& use : uses)
        attempt(use, [&use] { use.listener->listen(use.slots); });
    std::vector<std::pair<Listener*, ListenerOptions>> before;
    try {
        for (const ListenerUse& use : uses) {
            if (use.listener->options() == use.options) continue;
            before.emplace_back(use.listener.get(), use.listener->options());
            attempt(use, [&use] { use.listener->set_options(use.options); });
        }
    } catch (const std::runtime_error&) {
        for (const auto& [listener, options] : before)
            listener->set_options(options);
        throw;
    }
}

std::shared_ptr<Listener> ListenerRegistry::acquire(const std::string& key, const Address& address,
                                                    const ListenerOptions& options, unsigned slots) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.listener.expired(); });
    const bool shared = Listener::shares_socket(address, options);
    const unsigned wanted = shared ? 1 : slots;
    std::shared_ptr<Listener> stand_in;
    for (const Entry& entry : entries_) {
        std::shared_ptr<Listener> listener = entry.listener.lock();
        if (entry.key != key || listener->turned_away()) continue;
        if (listener->absent()) {
            stand_in = std::move(listener);
            continue;
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
        if (listener->renew()) renewed_.push_back({listener, address.text()});
        if (listener->sockets() < wanted) listener->resize(wanted);
        return listener;
    }
    if (stand_in != nullptr) return bind_again(stand_in, key, address, options, wanted);
    try {
        return bind(key, address, options, wanted);
    } catch (const std::system_error& failure) {
        if (!may_be_absent(options.optional, failure.code())) throw;
        auto absent = std::make_shared<Listener>(Listener::stand_in(address, options, failure.what()));
        entries_.push_back({key, absent});
        return absent;
    }
}

std::shared_ptr<Listener> ListenerRegistry::bind(const std::string& key, const Address& address,
                                                 const ListenerOptions& options, unsigned slots) {
    std::vector<std::shared_ptr<Listener>> siblings;
    for (const Entry& entry : entries_)
        siblings.push_back(entry.listener.lock());
    auto bound = std::make_shared<Listener>(Listener::bind(address, options, slots, siblings));
    entries_.push_back({key, bound});
    return bound;
}

std::shared_ptr<Listener> ListenerRegistry::bind_again(const std::shared_ptr<Listener>& stand_in,
                                                       const std::string& key, const Address& address,
                                                       const ListenerOptions& options, unsigned slots) {
    try {
        std::shared_ptr<Listener> bound = bind(key, address, options, slots);
        renewed_.push_back({bound, bound->address().text() + " (it could not be had before)"});
        return bound;
    } catch (const std::system_error& failure) {
        if (!may_be_absent(options.optional, failure.code())) throw;
        stand_in->set_absence(failure.what());
        return stand_in;
    }
}

std::vector<std::string> ListenerRegistry::take_renewed() {
    std::vector<std::string> texts;
    for (const Renewed& each : std::exchange(renewed_, {})) {
        if (!each.listener.expired()) texts.push_back(each.text);
    }
    return texts;
}

}  // namespace drover
