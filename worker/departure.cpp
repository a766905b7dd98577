#include "worker/departure.h"

#include "core/counters/counter_table.h"
#include "core/log/log.h"
#include "core/protocol/channel.h"
#include "worker/intake.h"
#include "worker/module/blocking_pool.h"
#include "worker/module/configuration.h"
#include "worker/module/module_host.h"
#include "worker/module/services.h"
#include "worker/stream/connection_list.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace drover {

namespace {

// A drain_timeout of 0 must not keep the loop busy.
constexpr std::chrono::milliseconds overdue_interval{100};

}  // namespace

LeaveStep leave_step(LeaveWish wish, LeaveEvent event) noexcept {
    using enum LeaveWish;
    using enum LeaveAction;
    // By event: signal, signal_alone, shortage, dismissal.
    static constexpr LeaveStep steps[][4] = {
        {{asked, ask}, {none, drain}, {asked, ask}, {dismissed, nothing}},                 // none
        {{asked, drain}, {asked, drain}, {asked, ask}, {signal_due, drain}},               // asked
        {{dismissed, drain}, {dismissed, drain}, {asked, ask}, {dismissed, nothing}},      // dismissed
        {{asked, nothing}, {asked, nothing}, {signal_due, nothing}, {signal_due, drain}},  // signal_due
    };
    return steps[static_cast<std::size_t>(wish)][static_cast<std::size_t>(event)];
}

Departure::Departure(EventLoop& loop, Log& log, Channel& channel, ConnectionList& connections, Intake& intake,
                     Callback<void()> on_stopped)
    : loop_(loop),
      log_(log),
      channel_(channel),
      connections_(connections),
      intake_(intake),
      on_stopped_(on_stopped) {}

LeaveAction Departure::note(LeaveEvent event) noexcept {
    const LeaveStep step = leave_step(wish_, event);
    wish_ = step.next;
    return step.action;
}

void Departure::add_successor(UniqueFd socket) {
    if (giver_ == nullptr) {
        std::vector<std::string> names;
        for (const NamedListener& listener : intake_.listeners().all())
            names.push_back(listener.name);
        giver_ = std::make_unique<HandoverGiver>(loop_, connections_, names, intake_.listeners().gone());
    }
    giver_->add_receiver(std::move(socket));
    if (!begun() || connections_.draining()) return;
    intake_.drop_givers();
    if (!giver_->started()) giver_->start();
}

void Departure::begin(const Services& services, ModuleHost& modules, bool limited) {
    services_ = &services;
    began_ms_ = loop_.now_ms();
    handed_over_ = services.counters.counter("drover_connections_handed_over_total");
    intake_.finish(has_successor());
    modules.drain(log_);
    if (has_successor()) {
        intake_.drop_givers();  // they have been given the successors of this worker, too
        giver_->start();
        connections_.end_overdue();
    } else {
        connections_.drain();
    }
    if (limited) limit();
    look();
}

void Departure::hurry(bool limited) {
    if (limited) limit();
    drain_connections();
}

void Departure::limit() {
    if (limit_ != nullptr) return;
    limit_ = std::make_unique<Limit>(loop_, Timer::Handler::to<&Departure::on_drain_timeout>(this),
                                     Timer::Handler::to<&Departure::on_handover_timeout>(this));
    limit_->timer.start_once(drain_timeout());
    if (handing_over())
        limit_->handover_timer.start_once(
            std::chrono::milliseconds(services_->configuration->pool().handover_timeout_ms));
}

std::chrono::milliseconds Departure::drain_timeout() const noexcept {
    return std::chrono::milliseconds(services_->configuration->pool().drain_timeout_ms);
}

bool Departure::handing_over() const noexcept {
    return has_successor() && giver_->started() && !connections_.draining();
}

// All that is left, also what could have moved.
void Departure::drain_connections() {
    if (limit_ != nullptr && handing_over()) {
        limit_->handover_timer.stop();
        limit_->timer.start_once(drain_timeout());
    }
    connections_.drain();
}

void Departure::on_handover_timeout() {
    log_.warning("handover_timeout: " + std::to_string(connections_.size()) +
                 " connections have not been taken over; they drain");
    drain_connections();
}

void Departure::on_drain_timeout() {
    if (handing_over()) return end_overdue();
    log_.warning("drain timeout: ending " + std::to_string(connections_.size()) + " connections");
    report_all_ended();
    leave(ExitCode::ok);
}

// A connection that began to drain after the last look has its own drain_timeout.
void Departure::end_overdue() {
    const std::size_t ended = connections_.end_overdue();
    if (ended > 0)
        log_.warning("drain timeout: ending " + std::to_string(ended) + " connections that cannot move");
    ended_ += ended;
    limit_->timer.start_once(std::max(drain_timeout(), overdue_interval));
}

void Departure::look() {
    if (!begun()) return;
    if (!said_stopped_ && !intake_.accepting()) {
        said_stopped_ = true;
        channel_.send(MessageType::stopped_accepting,
                      GenerationMessage{services_->configuration->generation()});
        on_stopped_();
    }
    if (leaves() || connections_.size() != 0 || services_->blocking.under_way() > 0 || !intake_.done())
        return;
    report(ended_);
    leave(ExitCode::ok);
}

void Departure::on_connection_closed() {
    if (has_successor() && giver_->given() != given_) {
        handed_over_.add(giver_->given() - given_);
        given_ = giver_->given();
        last_given_ms_ = loop_.now_ms();
    }
    look();
}

void Departure::leave(ExitCode code) {
    exit_code_ = code;
    loop_.stop();
}

void Departure::report_all_ended() {
    report(ended_ + connections_.size());
}

// The master says it in the log, with the other things that it knows of this worker.
void Departure::report(std::uint64_t ended) {
    if (given_ == 0) return;
    const auto time_ms = static_cast<std::uint64_t>(last_given_ms_ - began_ms_);
    channel_.send(MessageType::handed_over, HandoverResult{given_, ended, time_ms});
}

}  // namespace drover
