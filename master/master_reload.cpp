// A reload's steps, from the ask to the verdict (reload/reload_table.h).
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

// While the master starts, or a reload is under way, the desk remembers it.
void Master::ask_reload(const ReloadDesk::Wish& wish) {
    desk_.ask(wish);
    if (state_ == LifeState::running && reload_ == nullptr) begin_reload();
}

void Master::begin_reload() {
    reload_ = std::make_unique<Reload>(clock_, Timer::Handler::to<&Master::on_reload_deadline>(this));
    desk_.begin();
    on_status_changed();
    notifier_.reloading();
    events_.info(EventKind::reload_started, subject(), "reload: reading " + config_path_);
    try {
        renew_files();
    } catch (const std::exception& failure) {
        reload_->failures = {failure.what()};
        return step(ReloadEvent::refused);
    }
    read_config();
}

void Master::step(ReloadEvent event) {
    if (reload_ == nullptr) return;
    const ReloadAction action = reload_->step(event);
    on_status_changed();
    carry_out(action);
}

void Master::carry_out(ReloadAction action) {
    switch (action) {
        case ReloadAction::nothing:
            return;
        case ReloadAction::wait_for_old:
            return wait_for_old();
        case ReloadAction::start:
            return start_next(reload_->number(), reload_->take_source());
        case ReloadAction::prepare:
            return prepare();
        case ReloadAction::switch_over:
            return switch_over();
        case ReloadAction::commit:
            return commit();
        case ReloadAction::kill_accepting:
            for (const auto& old : old_)
                old->kill_accepting();
            return;
        case ReloadAction::replace_uncommitted:
            current_->replace_uncommitted();
            return end_switch();  // what is missing is being replaced, and the status shows it
        case ReloadAction::retry_fresh:
            return retry_fresh();
        case ReloadAction::settle:
            return settle();
        case ReloadAction::settle_unchanged:
            return settle_unchanged();
        case ReloadAction::go_back:
            release_old_sockets();
            return go_back();
        case ReloadAction::refuse:
            return refuse();
    }
}

void Master::on_reload_deadline() {
    step(ReloadEvent::late);
}

// Why the start or the reload under way fails.
void Master::fail(const std::string& reason) {
    if (reload_ == nullptr) return fail_start(ExitCode::refused, {reason});
    reload_->failures.push_back(reason);
    step(ReloadEvent::failed);
}

// Somebody may have cleaned up: nobody could reach this master by them. HUP needs none of them.
void Master::renew_files() {
    std::vector<std::string>& made_again = reload_->made_again;
    if (service_->runtime_directory.renew()) made_again.push_back(service_->runtime_directory.path());
    if (service_->pid_file.renew()) made_again.push_back(service_->runtime_directory.file("drover.pid"));
    if (service_->control.renew()) made_again.push_back(service_->runtime_directory.file("control.sock"));
}

// A new configuration goes to the running workers when all that changed is hot, else to new ones beside them.
void Master::follow_verdict(ConfigReader::Verdict verdict) {
    const MasterSettings& running = current_->settings().master;
    const bool unchanged = verdict.change == Change::none &&
                           running.reload != MasterSettings::Reload::fresh && !desk_.fresh_wanted() &&
                           !current_->resized();
    if (unchanged) return step(ReloadEvent::unchanged);
    const std::uint64_t number = ++last_generation_;
    for (const std::string& change : verdict.changes)
        events_.info(EventKind::reload_change, {.generation = number}, "reload: " + change);
    const bool hot = verdict.change <= Change::hot && !desk_.fresh_wanted() &&
                     verdict.image->root().find("master").find("reload").text() != "fresh";
    reload_->lead_to(number, take_source(verdict));
    step(hot ? ReloadEvent::hot : ReloadEvent::fresh);
}

void Master::wait_for_old() {
    if (reload_->kind() == ReloadKind::asked && too_many_generations()) return;
    current_->hold_sockets();
    if (old_.empty()) return step(ReloadEvent::old_gone);
    desk_.progress("waiting for workers of earlier generations to leave");
    reload_->end_after(old_leave_time);
}

// Workers that still drain keep theirs alive; who reloads faster than they leave is told so.
bool Master::too_many_generations() {
    const std::size_t alive = old_.size() + 1;
    const unsigned most = current_->settings().master.max_generations;
    if (alive < most) return false;
    std::string text;
    for (const auto& old : old_)
        old->append_drain_progress(text);
    fail(std::to_string(alive) + " generations are alive, and master.max_generations is " +
         std::to_string(most) + "; draining: " + text);
    return true;
}

void Master::prepare() {
    try {
        current_->prepare(reload_->number(), reload_->take_source(), service_->listeners);
    } catch (const std::exception& failure) {
        return fail(failure.what());
    }
    desk_.progress("running workers prepare generation " + std::to_string(reload_->number()));
    reload_->end_after(std::chrono::milliseconds(current_->settings().master.prepare_timeout_ms));
    if (current_->all_prepared()) step(ReloadEvent::ready);
}

bool Master::prepares() const noexcept {
    return reload_ != nullptr && reload_->state() == ReloadState::preparing;
}

void Master::on_prepared(Pool&) {
    if (prepares() && current_->all_prepared()) step(ReloadEvent::ready);
}

void Master::on_not_prepared(Pool&, const std::string& reason) {
    if (prepares()) fail(reason);
}

// The commit point: from here on the master rolls forward. A worker that has not answered by now does not
// hold up the others.
void Master::commit() {
    const SettingsSaid said = settings_said();
    try {
        Fallback fallback{current_->number(), current_->source().duplicate(), ReloadWay::hot};
        current_->commit();
        if (reload_->kind() == ReloadKind::asked) begin_probation(std::move(fallback));
    } catch (const std::exception& failure) {
        return fail(failure.what());
    }
    count_for(*current_);
    warn_of_absent_listeners();
    follow_settings(said);
    reload_->end_after(quiet_time);
    check_quiet();
}

void Master::switch_over() {
    Generation* const before = current_.get();
    const SettingsSaid said = settings_said();
    try {
        Fallback fallback{before->number(), before->source().duplicate(), ReloadWay::fresh};
        open_gates();
        if (reload_->kind() == ReloadKind::asked) begin_probation(std::move(fallback));
    } catch (const std::exception& failure) {
        return fail(failure.what());
    }
    follow_settings(said);
    desk_.progress("generation " + std::to_string(current_->number()) +
                   " serves; the workers before it drain");
    for (const auto& old : old_)
        old->hand_over_to(*current_);
    before->make_way();
    reload_->end_after(quiet_time);
    check_quiet();
}

void Master::end_switch() {
    step(unfit() ? ReloadEvent::unfit : ReloadEvent::quiet);
}

void Master::release_old_sockets() {
    for (const auto& old : old_)
        old->release_listeners();
    current_->retire_sockets();
}

void Master::settle() {
    release_old_sockets();
    const std::string serves = "generation " + std::to_string(current_->number()) + " serves";
    if (reload_->kind() == ReloadKind::asked)
        return close_reload(ReloadResult::ok, serves + made_again_text());
    close_reload(ReloadResult::rolled_back, serves + " again: " + reload_->reason());
}

void Master::settle_unchanged() {
    const bool moved = service_->pools.log.moved() || FileRegistry::moved(current_->files());
    const std::string error = moved ? reopen_log() : "";
    if (!error.empty()) return close_reload(ReloadResult::refused, "log files stay as they are: " + error);
    try {
        current_->renew_listeners(service_->listeners);
    } catch (const std::exception& failure) {
        reload_->failures = {failure.what()};
        return close_reload(ReloadResult::refused, failure.what());
    }
    count_for(*current_);
    warn_of_absent_listeners();
    current_->retry_given_up();
    close_reload(ReloadResult::ok, "nothing has changed" + made_again_text());
}

// Empty when nothing had gone.
std::string Master::made_again_text() {
    std::vector<std::string> all = std::move(reload_->made_again);
    std::ranges::move(service_->listeners.take_renewed(), std::back_inserter(all));
    std::string text;
    for (const std::string& name : all)
        text += (text.empty() ? "; made again: " : ", ") + name;
    return text;
}

void Master::refuse() {
    drop_next();
    std::vector<std::string>& failures = reload_->failures;
    if (reload_->kind() == ReloadKind::back) {
        failures.insert(failures.begin(),
                        "the generation before cannot be had back, and " + reload_->reason());
    }
    close_reload(ReloadResult::refused, join(failures));
}

void Master::retry_fresh() {
    drop_next();
    events_.error(EventKind::rollback, subject(),
                  "the way back in the running workers fails (" + join(std::exchange(reload_->failures, {})) +
                      "); by new ones");
    wait_for_old();
}

void Master::drop_next() {
    current_->abandon();
    abandon_next();
    // Sockets that listen already for slots that do not come.
    current_->drop_idle_sockets();
    current_->steer();
    current_->retire_sockets();
}

void Master::close_reload(ReloadResult result, const std::string& text) {
    const bool ok = result == ReloadResult::ok;
    status_.last_reload = result;
    status_.last_reload_ms = loop_.now_ms();
    status_.last_reload_generation = ok ? current_->number() : last_generation_;
    const std::string error = ok ? "" : text;
    std::ranges::fill(status_.last_reload_error, '\0');
    error.copy(status_.last_reload_error, sizeof(status_.last_reload_error) - 1);
    service_->own_counters.count_reload(result);
    if (result != ReloadResult::refused) service_->counters.status().count_reload();
    publish_status();
    const std::unique_ptr<Reload> ended = std::move(reload_);
    say_verdict(*ended, result, text);
    const std::string last = ok ? "" : "last reload " + std::string(to_text(result)) + "; ";
    notifier_.ready(last + "generation " + std::to_string(current_->number()) + " serves on " +
                    current_->listening_text());
    service_->orders.look_at(*current_);
    const bool again = desk_.close(ok, text, ended->probation);
    // The way back comes first: a reload that was asked for meanwhile follows it.
    if (unfit()) {
        if (again) desk_.ask_again();
        return go_back();
    }
    if (again) begin_reload();
}

void Master::say_verdict(const Reload& reload, ReloadResult result, const std::string& text) {
    const EventSubject of_last{.generation = status_.last_reload_generation};
    if (result == ReloadResult::ok) events_.info(EventKind::reload_verdict, subject(), "reload: " + text);
    if (result == ReloadResult::rolled_back) {
        events_.error(EventKind::reload_verdict, subject(), "reload rolled back: " + text);
    }
    for (const std::string& failure : reload.failures)
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
