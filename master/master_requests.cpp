// What operators ask a running master for, by the control socket and by TTIN and TTOU.
#include "conf/options/reference.h"
#include "core/base/system_error.h"
#include "core/protocol/status_json.h"
#include "master/control/counters_text.h"
#include "master/control/status_text.h"
#include "master/master.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>

namespace drover {

void Master::on_request(ControlCaller caller, const ControlRequest& request) {
    const std::string& command = request.command;
    if (command == "status") return service_->control.reply(caller, true, status_reply(request));
    if (command == "events") return service_->event_desk.ask(caller, request);
    if (command == "config") return service_->control.reply(caller, true, config_reply(request));
    if (command == "reload") return on_reload_request(caller, request);
    if (command == "stop" || command == "quit") return on_stop_request(caller, request);
    if (command == "workers") return on_size_request(caller, request);
    if (command == "restart") return on_restart_request(caller, request);
    if (command == "counters" || command == "counter_rows") return on_counters_request(caller, request);
    if (command == "reopen") {
        const std::string error = reopen_log();
        return error.empty() ? service_->reopens.await(caller)
                             : service_->control.reply(caller, false, error);
    }
    service_->control.reply(caller, false, "unknown command \"" + command + "\"");
}

void Master::on_counters_request(ControlCaller caller, const ControlRequest& request) {
    std::string text = "the counter table";
    std::vector<UniqueFd> fds;
    try {
        if (request.command == "counters") {
            const int table = service_->counters.read_only_fd();
            fds.emplace_back(check_call(::fcntl(table, F_DUPFD_CLOEXEC, 0), "fcntl", "F_DUPFD_CLOEXEC"));
        } else {
            RowBatch batch = service_->counters.rows_after(request.after);
            text = row_batch_text(batch);
            std::ranges::transform(batch.rows, std::back_inserter(fds),
                                   [](RowBatch::Row& row) { return std::move(row.fd); });
        }
    } catch (const std::system_error& failure) {
        if (!service_->control.ask_again(caller)) service_->control.reply(caller, false, failure.what());
        return;
    }
    service_->control.reply_with(caller, text, std::move(fds));
}

void Master::on_reload_request(ControlCaller caller, const ControlRequest& request) {
    if (is_stopping(state_)) return service_->control.reply(caller, false, "the master is stopping");
    ask_reload({.caller = caller, .fresh = request.fresh, .probation = request.probation});
}

// The caller believes it when this process has ended.
void Master::on_stop_request(ControlCaller caller, const ControlRequest& request) {
    service_->control.reply(caller, true, "stopped");
    const bool already = is_stopping(state_) && state_ != LifeState::quitting;
    if (!already) handle(request.command == "stop" ? LifeEvent::stop : LifeEvent::quit);
}

std::string Master::status_reply(const ControlRequest& request) {
    publish_status();
    if (request.format == "json") return describe_status();
    if (request.counters) return counters_text(service_->counter_reader, *request.counters);
    ServingView view = serving_view();
    if (current_ != nullptr) view.automatic = automatic_values(current_->image());
    return status_screen(service_->counter_reader, view, loop_.now_ms());
}

ServingView Master::serving_view() const {
    ServingView view;
    if (current_ == nullptr) return view;
    for (const auto& pool : current_->pools()) {
        view.pools.push_back({pool->name(), pool->size(), pool->serving(), pool->settings().min_healthy});
        for (std::size_t i = 0; i < pool->listeners().size(); ++i) {
            const ListenSettings& listen = pool->settings().listen[i];
            const Listener& listener = *pool->listeners()[i];
            const bool missed = listener.absent() && listen.listener.optional == Optional::yes;
            view.listeners.push_back({listener.address().text(), std::string(listen.address_text),
                                      pool->name(), std::string(listen.module), listener.absence(), missed});
        }
    }
    return view;
}

std::string Master::describe_status() {
    const ServingView view = serving_view();
    return status_json(service_->counter_reader, loop_.now_ms(),
                       [&view](JsonWriter& json) { write_serving(json, view); });
}

std::string Master::config_reply(const ControlRequest& request) const {
    if (current_ == nullptr) return "";
    return request.format == "json" ? to_json(current_->image()) : to_toml(current_->image());
}

// Why pools stay as they are now; empty: they need not.
std::string Master::cannot_change_pools() const {
    if (is_stopping(state_)) return "the master is stopping";
    if (current_ == nullptr) return "the master is starting";
    if (reload_ != nullptr) return "a reload is under way";
    return {};
}

void Master::on_size_request(ControlCaller caller, const ControlRequest& request) {
    if (const std::string why_not = cannot_change_pools(); !why_not.empty())
        return service_->control.reply(caller, false, why_not);
    Pool* const pool = request.pool.empty() ? &current_->first_pool() : current_->find_pool(request.pool);
    if (pool == nullptr)
        return service_->control.reply(caller, false, "there is no pool \"" + request.pool + "\"");
    if (const std::string failure = resize(*pool, request.count); !failure.empty())
        return service_->control.reply(caller, false, failure);
    pool->retry_given_up();
    service_->orders.await_size(caller, *pool, request.count);
    service_->orders.look_at(*current_);
}

void Master::on_restart_request(ControlCaller caller, const ControlRequest& request) {
    if (const std::string why_not = cannot_change_pools(); !why_not.empty())
        return service_->control.reply(caller, false, why_not);
    Pool* const pool = current_->find_pool(request.pool);
    if (pool == nullptr || request.slot >= pool->size()) {
        return service_->control.reply(
            caller, false, "there is no worker " + request.pool + "/" + std::to_string(request.slot));
    }
    service_->orders.await_restart(caller, *pool, request.slot);
    pool->restart(request.slot, "an operator asks for it");
}

void Master::resize_by_signal(int workers) {
    if (current_ == nullptr || is_stopping(state_) || state_ == LifeState::starting) return;
    Pool& pool = current_->first_pool();
    const EventSubject of_pool = pool.subject();
    if (reload_ != nullptr && makes_ready(reload_->state()))
        return events_.warning(EventKind::resize, of_pool,
                               "pool " + pool.name() + " is not resized while a reload is under way");
    const int size = static_cast<int>(pool.size()) + workers;
    if (size < 1 || size > static_cast<int>(max_workers)) {
        return events_.info(EventKind::resize, of_pool,
                            "pool " + pool.name() + " stays at " + std::to_string(pool.size()) + " workers");
    }
    resize(pool, static_cast<unsigned>(size));
}

// Why the pool could not be given that size; empty: it has it.
std::string Master::resize(Pool& pool, unsigned size) {
    std::string failure;
    try {
        while (pool.size() < size && pool.grow()) {
        }
        pool.shrink(size);
    } catch (const std::exception& error) {
        failure = "pool " + pool.name() + " cannot be resized: " + error.what();
        events_.error(EventKind::trouble, pool.subject(), failure);
    }
    events_.info(EventKind::resize, pool.subject(),
                 "pool " + pool.name() + ": " + std::to_string(pool.size()) + " workers");
    service_->orders.look_at(*current_);
    return failure;
}

}  // namespace drover
