// What the master gives a worker before it starts, and before each hot reload.
#include "worker/module/module_library.h"
#include "worker/worker.h"

#include <algorithm>
#include <stdexcept>

namespace drover {

void Worker::take_counters(Message& message) {
    const auto table = message.as<CounterTableMessage>();
    counters_.emplace(message.fds[0].get(), message.fds[1].get(), table.row, table.instance);
    counter_table_ = std::move(message.fds[0]);
}

// The first one is to start with; another one, later, is to be prepared.
void Worker::take_image(Message& message) {
    Assignment& assignment = services_ == nullptr ? assignment_ : next_.emplace();
    assignment.configuration = std::make_shared<const Configuration>(
        message.as<GenerationMessage>().generation, Image::open(message.fds[0].get()), identity_.pool);
    std::erase_if(generations_, [](const auto& generation) { return generation.expired(); });
    generations_.push_back(assignment.configuration);
    if (services_ == nullptr) apply_settings();
}

void Worker::take_library(Message& message) {
    assignment_.libraries.push_back(std::move(message.fds[0]));
}

// Those of the program, and those of the libraries that this pool names.
std::vector<ModuleFactory> Worker::all_factories() {
    std::vector<ModuleFactory> factories(factories_.begin(), factories_.end());
    const std::vector<LibrarySettings>& libraries = settings().libraries;
    if (libraries.size() != assignment_.libraries.size()) throw std::runtime_error("a library is missing");
    for (std::size_t i = 0; i < libraries.size(); ++i) {
        const bool ours = std::ranges::find(pool().modules, libraries[i].module) != pool().modules.end();
        if (ours) factories.push_back(load_module(assignment_.libraries[i].get()));
    }
    assignment_.libraries.clear();
    return factories;
}

void Worker::take_listener(Message& message) {
    std::vector<UniqueFd>& listeners = next_ ? next_->listeners : assignment_.listeners;
    if (message.as<ListenerMessage>().index != listeners.size()) {
        throw std::runtime_error("listeners came out of order");
    }
    listeners.push_back(std::move(message.fds[0]));
}

}  // namespace drover
