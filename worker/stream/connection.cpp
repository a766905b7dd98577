#include "worker/stream/connection.h"

#include "core/base/system_error.h"
#include "core/counters/counter.h"
#include "core/log/log.h"
#include "worker/handover/handover_format.h"
#include "worker/handover/handover_giver.h"
#include "worker/stream/connection_list.h"
#include "worker/stream/connection_output.h"

#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace drover {

namespace {

using Stage = CarriedConnection::Stage;

}  // namespace

// There may be a million idle ones.
static_assert(sizeof(Connection) <= 11 * sizeof(void*));

Connection::Connection(Services& services, Accepted accepted)
    : services_(services),
      transport_(std::move(accepted.socket)),
      listener_(static_cast<std::uint16_t>(accepted.gone_listener != 0 ? accepted.gone_listener
                                                                       : accepted.listener)) {
    if (accepted.carried != nullptr) carry_on(*accepted.carried);
}

Connection::~Connection() = default;

Address Connection::peer_address() const {
    try {
        return Address::peer_of(transport_.fd()).unmapped();
    } catch (const std::system_error&) {
        return {};
    }
}

Address Connection::local_address() const {
    try {
        return Address::local_of(transport_.fd()).unmapped();
    } catch (const std::system_error&) {
        return {};
    }
}

std::int64_t Connection::event_at_us() const noexcept {
    return services_.connections.events_at_us();
}

bool Connection::in_own_hook() const noexcept {
    return services_.connections.in_hook(*this);
}

void Connection::start() {
    if (sharing_ == Sharing::adopted) return services_.connections.add_adopted(*this);
    services_.connections.add_fresh(*this);
}

// The first request is often here by now, and with it perhaps all that there will be: what ends with its
// first reply is never given to the poller.
void Connection::begin_fresh() {
    fresh_ = false;
    const auto done = [this] {
        return state_ == State::dead || state_ == State::moving || watch_ == Watch::on;
    };
    if (done()) return;
    interest_ = Interest::read;
    if (state_ == State::open && output_ == nullptr && !paused_) read_input();
    if (done()) return;
    watch();
    update_interest();
}

void Connection::watch() {
    interest_ = Interest::read;
    watch_ = services_.connections.poller_.add(transport_.fd(), interest_, *this) ? Watch::on : Watch::off;
    if (watch_ == Watch::off) end_unwatched();
}

// Without events it would be forgotten.
void Connection::end_unwatched() noexcept {
    services_.log.error(std::string("connection ended: epoll_ctl: ") + std::strerror(errno));
    abort();
}

void Connection::unwatch() noexcept {
    if (watch_ != Watch::on) return;
    services_.connections.poller_.remove(transport_.fd());
    watch_ = Watch::off;
}

// An error or a hang-up comes as readable and writable, also to a connection that waits for nothing.
void Connection::on_ready(Readiness readiness) {
    switch (state_) {
        case State::open:
        case State::flushing:
            if (output_ != nullptr) {
                if (readiness.writable) send_waiting();
            } else if (above_mark_) {
                relieve();
                deliver_resumed();
            } else if (interest_ == Interest::none) {
                retire();
            } else if (readiness.readable) {
                read_input();
            }
            break;
        case State::lingering:
            discard_input();
            break;
        case State::moving:
        case State::dead:
            break;
    }
}

void Connection::on_deadline() {
    expired_ = state_ == State::moving;
    if (expired_) return;
    services_.connections.in_event_ = true;
    if (state_ == State::open) {
        run_hook([this] { on_time_limit(); });
        deliver_resumed();
    } else if (state_ != State::flushing || output_ == nullptr || !on_flush_limit()) {
        retire();
    }
    services_.connections.delete_dead();
}

// A hook has the outbox to itself; what it asked for is carried out at its end. A hook of one connection may
// run inside a hook of another (resume_input): what the outer one has written so far then waits in the outer
// one's own output.
void Connection::begin_hook(Connection*& outer) {
    ConnectionList& list = services_.connections;
    outer = std::exchange(list.in_hook_, this);
    if (outer == nullptr || list.outbox_.empty()) return;
    outer->output_ = list.outbox_.take_rest();
    list.outbox_.clear();
}

void Connection::fail_hook() noexcept {
    services_.log.error("connection ended: " + caught_text());
    abort();
}

void Connection::end_hook(Connection* outer) noexcept {
    ConnectionList& list = services_.connections;
    if (state_ != State::dead) flush_outbox();
    on_flushed();
    list.outbox_.clear(ConnectionList::max_kept_outbox);
    list.in_hook_ = outer;
    settle();
}

void Connection::drain() {
    if (state_ != State::open || draining()) return;
    drain_ = Drain::told;
    run_hook([this] { on_drain(); });
    deliver_resumed();
}

// What has come and was not read yet would be lost.
bool Connection::expendable() const noexcept {
    if (state_ != State::open || fresh_ || input_ != nullptr || output_ != nullptr || !idle()) return false;
    return transport_.unread() == Transport::Unread::none;
}

void Connection::read_input() {
    using What = Transport::Received::What;
    char* const scratch = services_.connections.scratch_.get();
    const Transport::Received received = transport_.receive({scratch, ConnectionList::scratch_size});
    switch (received.what) {
        case What::bytes:
            services_.connections.received_.add(received.size);
            input_drained_ = received.all;
            deliver({scratch, received.size});
            input_drained_ = false;
            return;
        case What::end:
            end_of_input_ = true;
            run_hook([this] { on_end_of_input(); });
            return deliver_resumed();
        case What::nothing_yet:
            return;
        case What::broken:
            return retire();
    }
}

bool Connection::input_unread() const noexcept {
    return transport_.unread() == Transport::Unread::some;
}

bool Connection::deliverable() const noexcept {
    return state_ == State::open && input_ != nullptr && output_ == nullptr && !paused_ && !above_mark_ &&
           !delivering_ && watch_ != Watch::held;
}

void Connection::deliver_resumed() {
    const bool resumed = resumed_;
    resumed_ = false;
    if (resumed && deliverable()) deliver({});
}

void Connection::deliver(std::string_view fresh) {
    if (input_ != nullptr) input_->append(fresh);
    resumed_ = false;
    for (;;) {
        delivering_ = true;
        std::size_t consumed = 0;
        run_hook([&] {
            const std::string_view input = input_ != nullptr ? std::string_view(*input_) : fresh;
            consumed = on_input(input);
            keep_input(input, consumed);
        });
        delivering_ = false;
        // When the socket took all of it at once no event will say that it is time to go on.
        const bool stopped_at_mark = above_mark_ && output_ == nullptr && input_ != nullptr;
        if (stopped_at_mark) relieve();
        // A module that consumes nothing waits for more, whatever it says.
        const bool goes_on = stopped_at_mark || (resumed_ && consumed > 0);
        resumed_ = false;
        if (!goes_on || !deliverable()) return;
    }
}

void Connection::keep_input(std::string_view input, std::size_t consumed) {
    if (consumed >= input.size()) {
        input_.reset();
    } else if (state_ != State::open) {
        linger_ = Linger::always;
    } else if (input_ != nullptr) {
        input_->erase(0, consumed);
    } else {
        input_ = std::make_unique<std::string>(input.substr(consumed));
    }
}

void Connection::pause_input() {
    paused_ = true;
    if (state_ == State::open && !in_own_hook()) settle();
}

void Connection::resume_input() {
    paused_ = false;
    if (state_ != State::open) return;
    resumed_ = true;
    if (delivering_ || in_own_hook()) return;
    deliver_resumed();
    settle();
}

// Output that the socket has not taken, or that a hook is writing.
ConnectionOutput& Connection::gathered() {
    if (output_ != nullptr) return *output_;
    if (in_own_hook()) return services_.connections.outbox_;
    output_ = std::make_unique<ConnectionOutput>();
    return *output_;
}

BoundedSendfile* Connection::bounded_sendfile() const noexcept {
    return sharing_ != Sharing::sole ? &services_.connections.bounded_sendfile_ : nullptr;
}

void Connection::note_written(const ConnectionOutput& output) noexcept {
    if (output.size() >= output_high_mark) above_mark_ = true;
}

void Connection::write(std::string_view bytes) {
    if (state_ != State::open || output_end_ != OutputEnd::open || bytes.empty()) return;
    if (output_ == nullptr && watch_ != Watch::held && !in_own_hook()) {
        const Transport::Taken taken = transport_.send(bytes);
        if (!taken) return retire();
        if (*taken > 0) services_.connections.sent_.add(*taken);
        bytes.remove_prefix(*taken);
        if (bytes.empty()) return;
    }
    ConnectionOutput& output = gathered();
    output.append(bytes);
    note_written(output);
    if (&output == output_.get()) update_interest();
}

void Connection::write_borrowed(std::string_view bytes) {
    if (state_ != State::open || output_end_ != OutputEnd::open) return;
    if (output_ != nullptr || !in_own_hook()) return write(bytes);
    services_.connections.outbox_.append_borrowed(bytes);
    note_written(services_.connections.outbox_);
}

void Connection::send_file(FileRange range) {
    if (state_ != State::open || output_end_ != OutputEnd::open) return;
    if (output_ == nullptr && !in_own_hook()) return in_hook([&] { send_file(std::move(range)); });
    ConnectionOutput& output = gathered();
    if (range.length <= ConnectionOutput::small_file) {
        if (!output.append_contents(range)) return abort();
    } else {
        output.append(std::move(range));
    }
    note_written(output);
}

std::uint64_t Connection::unsent_bytes() const noexcept {
    if (output_ != nullptr) return output_->size();
    return in_own_hook() ? services_.connections.outbox_.size() : 0;
}

std::uint64_t Connection::unacknowledged_bytes() const noexcept {
    return transport_.unacknowledged_bytes();
}

bool Connection::writable() const noexcept {
    return state_ == State::open && output_end_ == OutputEnd::open && !above_mark_;
}

void Connection::end_output() {
    if (state_ != State::open) return;
    if (output_end_ == OutputEnd::open) output_end_ = OutputEnd::asked_for;
    if (!in_own_hook()) settle();
}

void Connection::flush_outbox() {
    ConnectionOutput& outbox = services_.connections.outbox_;
    if (outbox.empty()) return;
    if (watch_ == Watch::held) {
        output_ = outbox.take_rest();
        return;
    }
    const std::uint64_t before = outbox.size();
    const ConnectionOutput::Sent sent = outbox.send(transport_, bounded_sendfile());
    services_.connections.sent_.add(before - outbox.size());
    switch (sent) {
        case ConnectionOutput::Sent::all:
            return;
        case ConnectionOutput::Sent::some:
            output_ = outbox.take_rest();
            return;
        case ConnectionOutput::Sent::broken:
            return retire();
    }
}

void Connection::send_waiting() {
    const std::uint64_t before = output_->size();
    const ConnectionOutput::Sent sent = output_->send(transport_, bounded_sendfile());
    services_.connections.sent_.add(before - output_->size());
    if (sent == ConnectionOutput::Sent::broken) return retire();
    if (output_->size() < before) on_progress();
    if (sent == ConnectionOutput::Sent::some) return relieve();
    output_.reset();
    on_flushed();
    relieve();
    if (state_ == State::open && output_ == nullptr) run_hook([this] { on_sent(); });
    resumed_ = false;
    if (deliverable()) deliver({});
    settle();
}

// Not at once when a hook has written so much and the socket took it: who always has more to send would never
// let others have a turn.
void Connection::relieve() {
    if (!above_mark_ || state_ != State::open) return;
    if (output_ != nullptr && output_->size() >= output_low_mark) return;
    above_mark_ = false;
    run_hook([this] { on_writable(); });
}

void Connection::finish_output() {
    output_end_ = OutputEnd::done;
    transport_.end_output();
}

// After anything that may have changed what the connection waits for.
void Connection::settle() {
    if (watch_ == Watch::held) return;
    if (output_ == nullptr && !in_own_hook()) {
        if (state_ == State::flushing) finish_close();
        if (state_ == State::open && output_end_ == OutputEnd::asked_for) finish_output();
    }
    if (state_ != State::dead && state_ != State::moving) update_interest();
    if (services_.connections.giver_ != nullptr) services_.connections.giver_->look_again();
}

void Connection::update_interest() {
    Interest interest = Interest::read;
    if (output_ != nullptr || (above_mark_ && state_ == State::open)) {
        interest = Interest::write;
    } else if (state_ == State::open &&
               (end_of_input_ || paused_ || (input_ != nullptr && input_->size() >= max_kept_input))) {
        interest = Interest::none;
    }
    if (interest == interest_ || watch_ != Watch::on) return;
    interest_ = interest;
    if (!services_.connections.poller_.change(transport_.fd(), interest, *this)) end_unwatched();
}

void Connection::close(Linger linger) {
    if (state_ != State::open) return;
    state_ = State::flushing;
    linger_ = linger;
    set_time_limit(flush_time);
    if (in_own_hook()) return;
    if (input_ != nullptr) linger_ = Linger::always;
    settle();
}

void Connection::abort() noexcept {
    if (state_ != State::dead) retire();
}

// The output has left. Closing a socket that has unread input would reset it and take the reply along.
void Connection::finish_close() {
    input_.reset();
    if (end_of_input_) return retire();
    if (linger_ == Linger::if_unread) {
        if (input_drained_ || !input_unread()) return retire();
    }
    transport_.end_output();
    state_ = State::lingering;
    set_time_limit(linger_time);
}

void Connection::discard_input() {
    using What = Transport::Received::What;
    const std::span scratch(services_.connections.scratch_.get(), ConnectionList::scratch_size);
    const What what = transport_.receive(scratch).what;
    if (what == What::end || what == What::broken) retire();
}

// A socket that somebody else holds, too, would haunt epoll if it were closed first.
void Connection::retire() noexcept {
    if (state_ == State::dead) return;
    HandoverGiver* const giver = services_.connections.giver_;
    if (state_ == State::moving && giver != nullptr) giver->forget(*this);
    // Before the acknowledgement both sides may have it, and nothing is to be said twice.
    if (state_ == State::moving || watch_ == Watch::held) on_disowned();
    state_ = State::dead;
    if (sharing_ != Sharing::sole) unwatch();
    if (sharing_ == Sharing::adopted) transport_.forbid_linger();
    transport_.close();
    clear_time_limit();
    services_.connections.bury(*this);
}

bool Connection::begin_moving(CarriedConnection& carried) {
    if (state_ == State::dead || state_ == State::moving || watch_ == Watch::held || stays_ || expired_)
        return false;
    std::vector<ConnectionOutput::Place> files;
    if (output_ != nullptr) files = output_->unsent_files();
    if (files.size() > 1) return false;
    if (state_ == State::open) {
        Movable movable = Movable::never;
        if (!draining()) fence([&] { movable = on_hand_over(carried.module_state); });
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
    carried.transport = transport_.kind();
    carried.end_of_input = end_of_input_;
    carried.output_ends = output_end_ != OutputEnd::open;
    carried.linger_always = linger_ == Linger::always;
    carried.listener = listener_;
    // The limit goes on here meanwhile: attempts that fail must not add up to more time.
    if (has_deadline())
        carried.time_limit_ms = static_cast<std::uint32_t>(services_.deadlines.remaining(*this).count());
    unwatch();
    if (sharing_ == Sharing::sole) sharing_ = Sharing::shared;
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
    sharing_ = Sharing::adopted;
    watch_ = Watch::held;
    state_ = carried.stage == Stage::open       ? State::open
             : carried.stage == Stage::flushing ? State::flushing
                                                : State::lingering;
    end_of_input_ = carried.end_of_input;
    if (carried.output_ends) output_end_ = OutputEnd::asked_for;
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
    watch_ = Watch::off;
    watch();
    if (state_ == State::dead) return;
    // The time that was left counts on: a reload is no gift to a client that is slow on purpose.
    if (carried_limit_ms_ != CarriedConnection::no_time_limit)
        set_time_limit(std::chrono::milliseconds(carried_limit_ms_));
    if (deliverable()) deliver({});
    settle();
}

}  // namespace drover
