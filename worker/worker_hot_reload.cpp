// A worker's part in a hot reload: it builds the next generation's state beside the one that serves, says
// whether it can, and puts it in place when the master has passed the commit point.
#include "worker/worker.h"

#include <algorithm>
#include <exception>

namespace drover {

void Worker::prepare() {
    if (!next_ || state_ != WorkerState::serving) return;
    try {
        if (next_->listeners.size() != next_->configuration->pool().listen.size()) {
            throw std::runtime_error("a listener is missing");
        }
        for (const ListenSettings& listen : next_->configuration->pool().listen) {
            if (modules_->find(listen.module) == nullptr) {
                throw std::runtime_error("a listener names a module that the worker does not have");
            }
        }
        modules_->prepare(*assignment_.configuration, next_->configuration);
    } catch (const std::exception& failure) {
        next_.reset();
        channel_->send_text(MessageType::not_prepared, failure.what());
        return;
    }
    channel_->send(MessageType::prepared, GenerationMessage{next_->configuration->generation()});
}

void Worker::abandon() {
    modules_->abandon();
    next_.reset();
}

void Worker::commit() {
    if (!next_) return;
    take_over_listeners();
    assignment_ = std::move(*next_);
    next_.reset();
    services_->configuration = assignment_.configuration;
    modules_->commit();
    apply_settings();
    report_timer_.start_every(std::chrono::milliseconds(pool().report_interval_ms));
    if (at_limit_ && connections_.size() < connection_limit_) resume_accepting();
    channel_->send(MessageType::committed, GenerationMessage{assignment_.configuration->generation()});
    send_report();
}

// A listener that both generations have keeps its acceptor; connections keep theirs under its new number.
void Worker::take_over_listeners() {
    const std::vector<ListenSettings>& before = pool().listen;
    const std::vector<ListenSettings>& after = next_->configuration->pool().listen;
    std::vector<std::unique_ptr<Acceptor>> acceptors;
    std::vector<Module*> modules;
    std::vector<unsigned> new_index(before.size(), 0);
    for (unsigned i = 0; i < after.size(); ++i) {
        modules.push_back(modules_->find(after[i].module));
        const auto same = std::ranges::find_if(before, [&](const ListenSettings& listen) {
            return listener_name(listen) == listener_name(after[i]);
        });
        if (same == before.end()) {
            acceptors.push_back(make_acceptor(std::move(next_->listeners[i]), i));
            if (!at_limit_) acceptors.back()->start();
            continue;
        }
        const auto old = static_cast<std::size_t>(same - before.begin());
        new_index[old] = i;
        acceptors_[old]->set_listener(i);
        acceptors.push_back(std::move(acceptors_[old]));
    }
    for (const auto& acceptor : acceptors_) {
        if (acceptor != nullptr) acceptor->finish();
    }
    for (const auto& acceptor : watched_)
        acceptor->finish();
    acceptors_ = std::move(acceptors);
    listener_modules_ = std::move(modules);
    connections_.renumber_listeners(new_index);
}

}  // namespace drover
