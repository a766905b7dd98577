// What a pool gives to workers that run: the next generation, in a hot reload (all prepare, then the pool
// goes over to it without new ones), and log files that were opened again.
#include "master/supervise/pool.h"

#include <algorithm>
#include <csignal>

namespace drover {

namespace {

// Until log files are sent again that could not be, for want of descriptors.
constexpr std::chrono::milliseconds log_delay{1000};

}  // namespace

void Pool::prepare(Next next) {
    next_ = std::move(next);
    hold_sockets();
    for (const auto& slot : slots_) {
        const bool serves = slot->worker != nullptr && slot->worker->state() == WorkerState::serving;
        if (serves) prepare(*slot->worker);
    }
}

void Pool::prepare(WorkerProcess& worker) {
    WorkerRecipe recipe;
    recipe.generation = next_.origin.generation;
    recipe.image_fd = next_.origin.image_fd;
    recipe.files = next_.origin.files;
    for (const auto& listener : next_.listeners)
        recipe.listener_fds.push_back(listener->socket_for(worker.identity().slot));
    worker.prepare(recipe);
}

bool Pool::all_prepared() const noexcept {
    return std::ranges::all_of(slots_, [](const auto& slot) {
        return slot->worker == nullptr || slot->worker->state() != WorkerState::serving ||
               slot->worker->prepared();
    });
}

void Pool::commit() {
    settings_ = next_.settings;
    origin_ = next_.origin;
    watchers_.clear();  // a worker lets what it watches go when it commits
    adopt_listeners(std::move(next_.listeners));
    next_ = {};
    watch_workers();
    for (const auto& slot : slots_)
        commit(*slot);
    replace_next();
    steer();
    replace_old_sockets();
    watch_queues();
    try {
        shrink(settings_->workers);
        while (size() < settings_->workers && grow()) {
        }
    } catch (const std::exception& failure) {
        // There is no way back any more: the pool serves with the workers that it has.
        context_.events.error(EventKind::trouble, subject(),
                              "pool " + name() + " cannot be resized: " + failure.what());
    }
}

void Pool::commit(Slot& slot) {
    drop_newcomer(slot);  // of the generation before; another one follows
    slot.policy.set_rule(respawn_rule());
    const bool starting = slot.worker != nullptr && slot.worker->state() == WorkerState::starting;
    if (starting) {
        slot.worker->discard("of the generation before");
        leaving_.push_back(std::move(slot.worker));
    }
    if (slot.worker == nullptr) {
        slot.forgive();
        slot.fill_soon();
    } else if (slot.worker->prepared()) {
        slot.worker->commit();
    } else {
        slot.worker->abandon();
        replace_outdated(slot, "it has not prepared the new generation");
    }
}

void Pool::abandon() {
    next_ = {};
    each_worker([](WorkerProcess& worker) { worker.abandon(); });
}

void Pool::replace_uncommitted() {
    for (const auto& slot : slots_) {
        if (slot->worker == nullptr || slot->worker->committed()) continue;
        replace_outdated(*slot, "it has not taken the new generation over");
    }
    replace_next();
}

// It may only be slow: its connections go on in a worker of this generation. Meanwhile it gets no new ones.
void Pool::replace_outdated(Slot& slot, const std::string& reason) {
    context_.events.warning(EventKind::replacement, slot.worker->subject(),
                            slot.worker->name() + " is being replaced: " + reason);
    slot.worker->set_outdated();
    slot.replace_reason = reason;
}

bool Pool::all_committed() const noexcept {
    return std::ranges::all_of(slots_, [this](const auto& slot) {
        const WorkerProcess* const worker = slot->worker.get();
        return worker != nullptr && worker->generation() == origin_.generation &&
               worker->state() == WorkerState::serving && worker->committed();
    });
}

void Pool::send_log_files() {
    bool all_sent = true;
    each_worker([&](WorkerProcess& worker) {
        bool sent = worker.send_log(context_.log);
        for (const Origin* const origin : {&origin_, &next_.origin})
            for (const auto& file : origin->files)
                sent = worker.send_file(*file) && sent;
        if (sent) worker.send_log_turn(context_.log_turn);
        all_sent = sent && all_sent;
    });
    if (!all_sent) log_timer_.start_once(log_delay);
}

// One that starts has not written to any, and takes the messages in their order. One that cannot be reached
// writes on to the old ones.
void Pool::append_log_laggards(std::vector<std::string>& names) const {
    each_worker([&](const WorkerProcess& worker) {
        if (worker.ready() && worker.log_turn() < context_.log_turn) names.push_back(worker.name());
    });
}

void Pool::on_log_files_taken(WorkerProcess&) {
    observer_.on_status_changed();
}

void Pool::on_prepared(WorkerProcess&) {
    observer_.on_prepared(*this);
}

void Pool::on_not_prepared(WorkerProcess& worker, std::string_view reason) {
    observer_.on_not_prepared(*this, worker.name() + ": " + std::string(reason));
}

void Pool::on_committed(WorkerProcess&) {
    observer_.on_committed(*this);
    observer_.on_status_changed();
}

}  // namespace drover
