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

// Who has not answered by now never holds the others up: the reload is carried through without him.
void Master::on_prepare_deadline() {
    if (hot_ && state_ == LifeState::preparing) handle(LifeEvent::generation_ready);
}

// The commit point: from here on the master rolls forward.
void Master::commit_hot() {
    prepare_timer_.stop();
    const Settings& before = current_->settings();
    const std::string log_before = before.log_target();
    try {
        Fallback fallback = fall_back_to(*current_, true);
        current_->commit();
        if (rollback_reason_.empty()) begin_probation(std::move(fallback));
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        return handle(LifeEvent::generation_failed);
    }
    count_for(*current_);
    follow_log_settings(log_before);
    quiet_timer_.start_once(quiet_time);
    check_quiet();
}

}  // namespace drover
