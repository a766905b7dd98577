#include "worker/worker.h"

#include "core/base/system_error.h"
#include "core/process/process.h"
#include "core/process/program_pages.h"
#include "worker/module/blocking_pool.h"
#include "worker/privileges.h"
#include "worker/process_limits.h"

#include <array>
#include <csignal>
#include <exception>
#include <stdexcept>
#include <utility>

namespace drover {

namespace {

// A start is over by then, and nobody waits for this worker.
constexpr std::chrono::milliseconds start_time{1000};
constexpr std::chrono::milliseconds goodbye_time{1000};  // for the last messages to the master

// TERM, QUIT and INT act; the others are announcements of what comes on the channel, and must not kill.
constexpr std::array watched_signals{SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

bool is_of_reload(MessageType type) noexcept {
    return type == MessageType::image || type == MessageType::listener ||
           type == MessageType::next_module_file || type == MessageType::prepare;
}

}  // namespace

int run_worker(const WorkerInheritance& inheritance) {
    const WorkerIdentity& identity = inheritance.identity;
    set_process_title("worker " + identity.pool + "/" + std::to_string(identity.slot));
    Worker worker(inheritance);
    release_signals();
    return to_int(worker.run());
}

Worker::Worker(const WorkerInheritance& inheritance)
    : identity_(inheritance.identity),
      log_({"worker", identity_.pool, static_cast<int>(identity_.slot)}),
      channel_(loop_, UniqueFd(inheritance.channel_fd),
               Channel::MessageHandler::to<&Worker::on_message>(this),
               Channel::ClosedHandler::to<&Worker::on_channel_closed>(this)),
      lifeline_(inheritance.lifeline_fd),
      reports_(UniqueFd(inheritance.report_fd)),
      factories_(inheritance.modules),
      deadlines_(loop_),
      connections_(loop_, ConnectionList::ClosedHandler::to<&Worker::on_connection_closed>(this)),
      assignment_(loop_, log_, channel_, intake_, identity_.pool),
      mailbox_(loop_),
      intake_(loop_, log_, connections_,
              {.on_room = Callback<void()>::to<&Worker::send_report>(this),
               .on_ended = Callback<void()>::to<&Worker::on_intake_ended>(this)}),
      departure_(loop_, log_, channel_, connections_, intake_,
                 Callback<void()>::to<&Worker::send_report>(this)),
      report_timer_(loop_, Timer::Handler::to<&Worker::send_report>(this)),
      started_timer_(loop_, Timer::Handler::to<&Worker::on_started>(this)) {
    channel_.set_cut_handler(Channel::MessageHandler::to<&Worker::on_cut>(this));
    channel_.keep_room_for(MessageType::handover_give);
    lifeline_watch_.start(loop_, lifeline_.get(), Interest::read,
                          FdWatch::Handler::to<&Worker::on_lifeline>(this));
    for (const int signal : watched_signals) {
        signals_.push_back(
            std::make_unique<SignalWatch>(loop_, signal, SignalWatch::Handler::to<&Worker::on_signal>(this)));
    }
}

Worker::~Worker() = default;

ExitCode Worker::run() {
    try {
        loop_.run();
    } catch (...) {
        const std::string reason = caught_text();
        departure_.report_all_ended();
        fail(reason, ExitCode::refused);
    }
    hold_signals();
    intake_.close();
    connections_.abort_all();
    if (modules_ != nullptr) modules_->stop();
    channel_.flush(goodbye_time);
    return departure_.exit_code();
}

void Worker::on_message(Message& message) {
    if (assignment_.short_of_descriptors() && is_of_reload(message.type))
        return;  // it would be built on what is lost
    switch (message.type) {
        case MessageType::log_file:
            return log_.set_target({std::move(message.fds[0]), std::string(message.text())});
        case MessageType::counter_table:
            return take_counters(message);
        case MessageType::image:
            assignment_.take_image(message);
            if (state_ == WorkerState::starting) apply_settings();
            return;
        case MessageType::library:
            return assignment_.take_library(message);
        case MessageType::listener:
            return assignment_.take_listener(message);
        case MessageType::module_file:
            return assignment_.files().put(message.text(), std::move(message.fds[0]));
        case MessageType::log_files_sent:
            channel_.send(MessageType::log_files_taken, message.as<QuestionMessage>());
            return;
        case MessageType::next_module_file:
            return assignment_.files().put_next(message.text(), std::move(message.fds[0]));
        case MessageType::start:
            return start();
        case MessageType::serve:
            return serve();
        case MessageType::prepare:
            if (state_ == WorkerState::serving) assignment_.prepare();
            return;
        case MessageType::commit:
            return commit();
        case MessageType::abandon:
            return assignment_.abandon();
        case MessageType::leave:
            return leave_by(LeaveEvent::dismissal, message.as<LeaveMessage>().limited != 0);
        case MessageType::watch_listener:
            return intake_.watch(message.as<ListenerMessage>().index, std::move(message.fds[0]));
        case MessageType::listener_ends:
            return intake_.note_end(message.as<ListenerMessage>().index);
        case MessageType::pool_full:
            return intake_.set_pool_full(message.as<RoomMessage>().full != 0);
        case MessageType::handover_give:
            return departure_.add_successor(std::move(message.fds[0]));
        case MessageType::handover_take:
            // A worker that leaves itself takes none: the giver has, or gets, the successors of this worker.
            if (state_ == WorkerState::draining && departure_.has_successor()) return;
            return intake_.add_giver(std::move(message.fds[0]));
        case MessageType::status_published:
        case MessageType::status_text:
            return master_view().take_status(message);
        case MessageType::counter_rows:
            return master_view().take_rows(message);
        case MessageType::events:
            return master_view().take_events(message);
        default:
            throw std::runtime_error("the master sent a message that is not for workers");
    }
}

MasterView& Worker::master_view() const {
    if (master_view_ == nullptr) throw std::runtime_error("the master answers what was not asked");
    return *master_view_;
}

void Worker::on_channel_closed(std::string_view reason) {
    if (master_view_ != nullptr) master_view_->disconnect();
    if (state_ == WorkerState::draining) return;
    log_.warning("channel to the master closed: " + std::string(reason));
    drain(true);
}

void Worker::on_lifeline(Readiness) {
    lifeline_watch_.stop();
    if (state_ == WorkerState::draining) return departure_.limit();
    log_.warning("the master is gone: draining");
    drain(true);
}

void Worker::on_signal(int signal) {
    // A message that belongs to the signal may still wait in the channel: a successor to give the connections
    // to.
    channel_.receive_pending();
    if (signal == SIGINT) return departure_.leave(ExitCode::ok);
    if (signal != SIGTERM && signal != SIGQUIT) return;
    const bool serves = state_ == WorkerState::serving && channel_.open();
    leave_by(serves ? LeaveEvent::signal : LeaveEvent::signal_alone, signal == SIGTERM);
}

void Worker::leave_by(LeaveEvent event, bool limited) {
    switch (departure_.note(event)) {
        case LeaveAction::nothing:
            return;
        case LeaveAction::ask:
            log_.info("told to leave: serving on until a successor takes over");
            channel_.send(MessageType::leave_wanted);
            return;
        case LeaveAction::drain:
            return drain(limited);
    }
}

// Descriptors that the master sent found no room in this process, and are lost. A worker that serves goes on
// with those it has until a successor takes over.
void Worker::on_cut(Message& message) {
    if (message.type == MessageType::counter_rows) return master_view().lose_rows();
    if (state_ == WorkerState::starting)
        return fail("at its limit of descriptors: what it was given is lost", ExitCode::refused);
    if (state_ != WorkerState::serving || assignment_.short_of_descriptors()) return;
    log_.error("at its limit of descriptors: serving on until a successor takes over");
    assignment_.note_loss();
    departure_.note(LeaveEvent::shortage);
    channel_.send(MessageType::leave_wanted);
}

void Worker::take_counters(Message& message) {
    const auto table = message.as<CounterTableMessage>();
    counters_.emplace(message.fds[0].get(), message.fds[1].get(), table.row, table.instance);
    counter_table_ = std::move(message.fds[0]);
}

// Settings that the worker itself keeps, of the generation that serves; the others are looked up when they
// are needed.
void Worker::apply_settings() {
    const MasterSettings& master = assignment_.settings().master;
    log_.set_level(master.log_level);
    log_.set_format(master.log_format);
    log_.set_generation(assignment_.configuration()->generation());
    intake_.set_limit(pool());
}

void Worker::commit() {
    if (state_ != WorkerState::serving || !assignment_.commit()) return;
    apply_settings();
    report_timer_.start_every(std::chrono::milliseconds(pool().report_interval_ms));
    assignment_.say_committed();
    send_report();
}

void Worker::start() {
    try {
        start_modules();
    } catch (const std::exception& failure) {
        return fail(failure.what(), is_shortage(failure) ? ExitCode::refused : ExitCode::config);
    }
    channel_.send(MessageType::ready, GenerationMessage{assignment_.configuration()->generation()});
}

void Worker::start_modules() {
    if (!counters_ || assignment_.configuration() == nullptr)
        throw std::runtime_error("start came too early");
    apply_limits(pool(), identity_.slot);
    intake_.set_limit(pool());
    const std::vector<std::string_view>& environment = assignment_.settings().master.environment;
    give_up_rights(std::string(assignment_.settings().master.user), {environment.begin(), environment.end()});
    if (pool().core_limit > 0) allow_core();

    connections_.set_active_gauge(counters_->gauge("drover_connections_active"));
    connections_.set_byte_counters(counters_->counter("drover_received_bytes_total"),
                                   counters_->counter("drover_sent_bytes_total"));
    blocking_ = std::make_unique<BlockingPool>(
        mailbox_, BlockingPool::Limits{pool().threads, pool().max_blocking_jobs},
        BlockingPool::Counters{counters_->counter("drover_blocking_jobs_total"),
                               counters_->counter("drover_blocking_jobs_refused_total"),
                               counters_->gauge("drover_blocking_jobs_active")},
        BlockingPool::IdleHandler::to<&Worker::on_blocking_idle>(this));
    std::optional<CounterReader> reader;
    if (pool().observes) reader.emplace(counter_table_.get());
    counter_table_.reset();
    master_view_ = std::make_unique<MasterView>(loop_, channel_, std::move(reader));
    services_ = std::make_unique<Services>(
        Services{loop_, log_, deadlines_, connections_, mailbox_, *blocking_, assignment_.files(), *counters_,
                 assignment_.configuration(), identity_.slot, master_view_.get()});
    modules_ = std::make_unique<ModuleHost>(assignment_.load_modules(factories_), pool().modules);
    modules_->start(*services_, assignment_.configuration()->image().root().find("module"));

    intake_.set_up(*modules_, *counters_, assignment_.configuration(), assignment_.take_listeners());
    assignment_.begin(*services_, *modules_);
    load_ = std::make_unique<LoadMeter>(loop_);
    load_counters_ = std::make_unique<LoadCounters>(*counters_, log_);
    report_timer_.start_every(std::chrono::milliseconds(pool().report_interval_ms));
    send_report();
}

void Worker::serve() {
    if (state_ != WorkerState::starting) return;
    state_ = WorkerState::serving;
    started_timer_.start_once(start_time);
    intake_.open();
    send_report();
}

void Worker::send_report() {
    Report report;
    report.state = static_cast<std::uint32_t>(state_);
    report.time_ms = loop_.now_ms();
    report.connections = connections_.size();
    report.return_addresses = intake_.return_addresses();
    report.full = intake_.full() ? 1 : 0;
    report.accepted = intake_.accepted();
    report.loop_lag_us = load_->take_largest_lag_us();
    report.cpu_us = LoadMeter::cpu_us();
    report.resident_bytes = load_->resident_bytes();
    assignment_.note_generations(report);
    load_counters_->update(report, assignment_.configuration()->generation());
    reports_.send(report);
}

void Worker::drain(bool limited) {
    if (state_ == WorkerState::starting) return departure_.leave(ExitCode::ok);
    if (std::exchange(state_, WorkerState::draining) == WorkerState::draining)
        return departure_.hurry(limited);
    assignment_.abandon();
    departure_.begin(*services_, *modules_, limited);
}

void Worker::on_intake_ended() {
    assignment_.say_committed();
    departure_.look();
}

void Worker::on_connection_closed() {
    departure_.on_connection_closed();
    if (state_ != WorkerState::draining) intake_.on_connection_closed();
}

// Most of what has run so far runs once.
void Worker::on_started() {
    release_program_pages();
}

void Worker::on_blocking_idle() {
    departure_.look();
}

void Worker::fail(const std::string& reason, ExitCode code) {
    log_.error(reason);
    channel_.send_text(MessageType::failed, reason);
    departure_.leave(code);
}

}  // namespace drover
