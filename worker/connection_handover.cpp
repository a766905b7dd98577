// A connection between two workers: what it takes along, and how it goes on.
#include "worker/connection.h"

namespace drover {

namespace {

using Stage = CarriedConnection::Stage;

}  // namespace

bool Connection::begin_moving(CarriedConnection& carried) {
    if (state_ == State::dead || state_ == State::moving || held_ || stays_ || expired_) return false;
    std::vector<ConnectionOutput::Place> files;
    if (output_ != nullptr) files = output_->unsent_files();
    if (files.size() > 1) return false;
    if (state_ == State::open) {
        Movable movable = Movable::never;
        if (!draining_) fence([&] { movable = on_hand_over(carried.module_state); });
        if (state_ != State::open) return false;  // by the hook
        if (movable == Movable::never) drain();
        if (movable != Movable::now) return false;
        if (output_ != nullptr) files = output_->unsent_files();
        if (files.size() > 1) return false;
    } else if (output_ != nullptr) {
        Movable movable = Movable::never;
        fence([&] { movable = on_hand_over_closing(carried.module_state); });
        if (movable != Movable::now) return false;
    }
    if (!files.empty()) {
        carried.file = files.front().range;
        carried.file_position = static_cast<std::uint32_t>(files.front().position);
    }
    const std::uint64_t unsent = output_ != nullptr ? output_->size() - carried.file.length : 0;
    const std::size_t input = input_ != nullptr ? input_->size() : 0;
    if (unsent + input + carried.module_state.size() > max_carried_bytes) {
        drain();
        return false;
    }
    if (output_ != nullptr) carried.unsent = output_->unsent_bytes();
    if (input_ != nullptr) carried.input = *input_;
    carried.stage = state_ == State::open       ? Stage::open
                    : state_ == State::flushing ? Stage::flushing
                                                : Stage::lingering;
    carried.end_of_input = end_of_input_;
    carried.output_ends = output_ends_;
    carried.linger_always = linger_ == Linger::always;
    carried.listener = listener_;
    // The limit goes on here meanwhile: attempts that fail must not add up to more time.
    if (has_deadline())
        carried.time_limit_ms = static_cast<std::uint32_t>(services_.deadlines.remaining(*this).count());
    unwatch();
    may_be_shared_ = true;
    resume_state_ = std::exchange(state_, State::moving);
    return true;
}

void Connection::stay() {
    if (state_ != State::moving) return;
    state_ = resume_state_;
    watch();
    if (state_ == State::dead) return;
    if (expired_) services_.deadlines.set(*this, std::chrono::milliseconds(0));
    update_interest();
    if (services_.connections.draining()) drain();  // it was moving when all were told
}

void Connection::stay_for_good() {
    stays_ = true;
    stay();
    drain();
}

void Connection::carry_on(const CarriedConnection& carried) {
    listener_ = carried.listener;
    adopted_ = true;
    held_ = true;
    may_be_shared_ = true;
    state_ = carried.stage == Stage::open       ? State::open
             : carried.stage == Stage::flushing ? State::flushing
                                                : State::lingering;
    end_of_input_ = carried.end_of_input;
    output_ends_ = carried.output_ends;
    linger_ = carried.linger_always ? Linger::always : Linger::if_unread;
    carried_limit_ms_ = carried.time_limit_ms;
    if (!carried.unsent.empty() || carried.file.length > 0) {
        const std::string_view unsent = carried.unsent;
        output_ = std::make_unique<ConnectionOutput>();
        output_->append(unsent.substr(0, carried.file_position));
        output_->append(carried.file);
        output_->append(unsent.substr(carried.file_position));
    }
    if (!carried.input.empty()) input_ = std::make_unique<std::string>(carried.input);
}

void Connection::begin_adopted() {
    if (state_ == State::dead) return;
    held_ = false;
    watch();
    if (state_ == State::dead) return;
    // The time that was left counts on: a reload is no gift to a client that is slow on purpose.
    if (carried_limit_ms_ != CarriedConnection::no_time_limit)
        set_time_limit(std::chrono::milliseconds(carried_limit_ms_));
    if (deliverable()) deliver({});
    settle();
}

}  // namespace drover
