#include "worker/listener_names.h"

#include "worker/module/module.h"
#include "worker/module/module_host.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace drover {

namespace {

NamedListener named(const ListenSettings& listen, Module* module) {
    const bool datagrams = listen.address.takes_datagrams();
    std::string name = listen.address.text();
    if (!datagrams) name.append(" ").append(listen.module);
    return {.name = std::move(name),
            .module = module,
            .family = listen.address.family(),
            .chosen_by_kernel = !listen.address.is_unix() && listen.address.port() == 0};
}

}  // namespace

std::vector<NamedListener> ListenerNames::list(const std::vector<ListenSettings>& listen,
                                               const ModuleHost& modules) {
    std::vector<NamedListener> listeners;
    for (const ListenSettings& each : listen) {
        Module* const module = modules.find(each.module);
        if (module == nullptr)
            throw std::runtime_error("a listener names a module that the worker does not have");
        const Takes takes = module->takes();
        if (!(each.address.takes_datagrams() ? takes.datagrams : takes.connections))
            throw std::runtime_error("a listener names a module that does not take what comes there");
        listeners.push_back(named(each, module));
    }
    return listeners;
}

const NamedListener* ListenerNames::find(std::string_view name) const noexcept {
    const auto found = std::ranges::find(listeners_, name, &NamedListener::name);
    return found == listeners_.end() ? nullptr : &*found;
}

unsigned ListenerNames::gone_number(std::string_view name) {
    const auto known = std::ranges::find(gone_, name);
    const auto index = static_cast<unsigned>(known - gone_.begin());
    if (first_gone_listener + index >= no_listener) return no_listener;
    if (known == gone_.end()) gone_.emplace_back(name);
    return first_gone_listener + index;
}

std::vector<unsigned> ListenerNames::find_again(const std::vector<NamedListener>& next) const {
    std::vector<unsigned> numbers;
    for (unsigned before = 0; before < listeners_.size(); ++before) {
        unsigned number = no_listener;
        for (unsigned after = 0; after < next.size() && number == no_listener; ++after) {
            const bool same_place = !listeners_[before].chosen_by_kernel || after == before;
            if (same_place && next[after].name == listeners_[before].name) number = after;
        }
        numbers.push_back(number);
    }
    return numbers;
}

std::vector<unsigned> ListenerNames::replace(std::vector<NamedListener> next) {
    std::vector<unsigned> numbers = find_again(next);
    for (unsigned i = 0; i < numbers.size(); ++i)
        if (numbers[i] == no_listener) numbers[i] = gone_number(listeners_[i].name);
    listeners_ = std::move(next);
    return numbers;
}

}  // namespace drover
