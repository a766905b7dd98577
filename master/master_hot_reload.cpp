// A reload that goes on in the running workers: all prepare, the master passes the commit point, all commit.
#include "master/master.h"

namespace drover {

void Master::prepare_hot(std::uint64_t number) {
    try {
        current_->prepare(number, take_source(), listeners_);
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        return handle(LifeEvent::generation_failed);
    }
    hot_ = true;
    desk_.progress("running workers prepare generation " + std::to_string(number));
    prepare_timer_.start_once(std::chrono::milliseconds(current_->settings().master.prepare_timeout_ms));
    if (current_->all_prepared()) handle(LifeEvent::generation_ready);
}

void Master::on_prepared(Pool&) {
    if (hot_ && state_ == LifeState::preparing && current_->all_prepared())
        handle(LifeEvent::generation_ready);
}

void Master::on_not_prepared(Pool&, const std::string& reason) {
    if (!hot_ || state_ != LifeState::preparing) return;
    failures_.push_back(reason);
    handle(LifeEvent::generation_failed);
}

// A worker that has not answered by now does not hold up the others: the reload goes on without it.
void Master::on_prepare_deadline() {
    if (hot_ && state_ == LifeState::preparing) handle(LifeEvent::generation_ready);
}

// The commit point: from here on the master rolls forward.
void Master::commit_hot() {
    prepare_timer_.stop();
    const SettingsSaid said = settings_said();
    try {
        Fallback fallback = fall_back_to(*current_, true);
        current_->commit();
        if (rollback_reason_.empty()) begin_probation(std::move(fallback));
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        return handle(LifeEvent::generation_failed);
    }
    count_for(*current_);
    warn_of_absent_listeners();
    follow_settings(said);
    quiet_timer_.start_once(quiet_time);
    check_quiet();
}

}  // namespace drover
