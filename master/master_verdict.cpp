// How a reload ends: accepted, refused or rolled back, and who is told.
#include "master/master.h"

#include <algorithm>
#include <csignal>
#include <iterator>
#include <utility>

namespace drover {

namespace {

std::string join(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += (text.empty() ? "" : "\n") + line;
    return text;
}

}  // namespace

void Master::settle() {
    quiet_timer_.stop();
    hot_ = false;
    for (const auto& old : old_)
        old->release_listeners();
    current_->retire_sockets();
    if (probation_.failed()) return handle(LifeEvent::generation_unfit);
    const std::string serves = "generation " + std::to_string(current_->number()) + " serves";
    if (rollback_reason_.empty()) return close_reload(ReloadResult::ok, serves + made_again_text());
    close_reload(ReloadResult::rolled_back, serves + " again: " + rollback_reason_);
}

void Master::settle_unchanged() {
    const bool moved = pools_->log.moved() || FileRegistry::moved(current_->files());
    const std::string error = moved ? reopen_log() : "";
    if (!error.empty()) return close_reload(ReloadResult::refused, "log files stay as they are: " + error);
    try {
        current_->renew_listeners(listeners_);
    } catch (const std::exception& failure) {
        failures_ = {failure.what()};
        return close_reload(ReloadResult::refused, failure.what());
    }
    count_for(*current_);
    warn_of_absent_listeners();
    current_->retry_given_up();
    close_reload(ReloadResult::ok, "nothing has changed" + made_again_text());
}

// Empty when nothing had gone.
std::string Master::made_again_text() {
    std::vector<std::string> all = std::exchange(made_again_, {});
    std::ranges::move(listeners_.take_renewed(), std::back_inserter(all));
    std::string text;
    for (const std::string& name : all)
        text += (text.empty() ? "; made again: " : ", ") + name;
    return text;
}

void Master::refuse() {
    if (std::exchange(hot_, false)) {
        prepare_timer_.stop();
        current_->abandon();
    }
    abandon_next();
    // Sockets that listen already for slots that do not come.
    current_->drop_idle_sockets();
    current_->steer();
    current_->retire_sockets();
    if (!rollback_reason_.empty() && fallback_->hot) {
        fallback_->hot = false;
        events_.error(EventKind::rollback, subject(),
                      "the way back in the running workers fails (" + join(failures_) + "); by new ones");
        return handle(LifeEvent::generation_unfit);
    }
    if (!rollback_reason_.empty()) {
        failures_.insert(failures_.begin(),
                         "the generation before cannot be had back, and " + rollback_reason_);
    }
    close_reload(ReloadResult::refused, join(failures_));
}

void Master::close_reload(ReloadResult result, const std::string& text) {
    const bool ok = result == ReloadResult::ok;
    if (!rollback_reason_.empty()) fallback_.reset();
    rollback_reason_.clear();
    status_.last_reload = result;
    status_.last_reload_ms = loop_.now_ms();
    status_.last_reload_generation = ok ? current_->number() : last_generation_;
    const std::string error = ok ? "" : text;
    std::ranges::fill(status_.last_reload_error, '\0');
    error.copy(status_.last_reload_error, sizeof(status_.last_reload_error) - 1);
    own_counters_->count_reload(result);
    if (result != ReloadResult::refused) counters_->status().count_reload();
    publish_status();
    say_verdict(result, text);
    const std::string last = ok ? "" : "last reload " + std::string(to_text(result)) + "; ";
    notifier_.ready(last + "generation " + std::to_string(current_->number()) + " serves on " +
                    current_->listening_text());
    orders_.look_at(*current_);
    const bool again = desk_.close(ok, text, result == ReloadResult::ok ? on_probation_for_ : no_time);
    on_probation_for_ = no_time;
    // The way back comes first: a reload that was asked for meanwhile follows it.
    if (probation_.failed()) {
        if (again) desk_.ask_again();
        return handle(LifeEvent::generation_unfit);
    }
    if (again) handle(LifeEvent::reload);
}

void Master::say_verdict(ReloadResult result, const std::string& text) {
    const EventSubject of_last{.generation = status_.last_reload_generation};
    if (result == ReloadResult::ok) events_.info(EventKind::reload_verdict, subject(), "reload: " + text);
    if (result == ReloadResult::rolled_back) {
        events_.error(EventKind::reload_verdict, subject(), "reload rolled back: " + text);
    }
    for (const std::string& failure : failures_)
        events_.error(EventKind::reload_verdict, of_last, "reload refused: " + failure);
}

// It may be in the middle of telling us: it is destroyed when its workers are gone.
void Master::abandon_next() {
    if (next_ == nullptr) return;
    next_->retire(SIGKILL);
    next_->release_listeners();
    old_.push_back(std::move(next_));
    reap_soon();  // it may have no worker yet
}

}  // namespace drover
