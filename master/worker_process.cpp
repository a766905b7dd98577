#include "master/worker_process.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>

namespace drover {

namespace {

std::uint32_t take_row(CounterTable& counters, const WorkerRecipe& recipe) {
    const WorkerIdentity& identity = recipe.identity;
    const auto row = counters.take_row({identity.instance, recipe.generation, identity.pool, identity.slot});
    if (!row) throw std::length_error("the counter table has no free row for another worker");
    return *row;
}

}  // namespace

WorkerProcess::WorkerProcess(EventLoop& loop, CounterTable& counters, const WorkerRecipe& recipe,
                             WorkerObserver& observer)
    : counters_(counters),
      loop_(loop),
      observer_(observer),
      identity_(recipe.identity),
      generation_(recipe.generation),
      row_(take_row(counters, recipe)),
      started_ms_(loop.now_ms()) {
    try {
        auto [our_channel, their_channel] = Channel::make_pair();
        auto [read_end, write_end] = make_report_pipe();
        const WorkerInheritance inheritance{identity_, their_channel.get(), write_end.get(),
                                            recipe.lifeline_fd, recipe.modules};
        const std::array keep{their_channel.get(), write_end.get(), recipe.lifeline_fd};
        process_ = spawn({&loop, keep, true}, [&inheritance] { return run_worker(inheritance); });
        counters_.set_row_pid(row_, static_cast<std::uint32_t>(process_.pid()));
        channel_ = std::make_unique<Channel>(
            loop, std::move(our_channel), Channel::MessageHandler::to<&WorkerProcess::on_message>(this),
            Channel::ClosedHandler::to<&WorkerProcess::on_channel_closed>(this));
        reports_ = std::make_unique<ReportReader>(
            loop, std::move(read_end), ReportReader::ReportHandler::to<&WorkerProcess::on_report>(this),
            ReportReader::EndHandler::to<&WorkerProcess::on_report_end>(this));
    } catch (...) {
        if (process_) process_.signal(SIGKILL);
        counters_.fold(row_);
        throw;
    }
    const GenerationMessage generation{generation_};
    send_log_file(recipe.log_fd);
    channel_->send(MessageType::counter_table, CounterTableMessage{identity_.instance, row_, 0},
                   std::array{counters_.read_only_fd(), counters_.fd()});
    channel_->send(MessageType::image, generation, std::array{recipe.image_fd});
    for (std::uint32_t i = 0; i < recipe.listener_fds.size(); ++i) {
        channel_->send(MessageType::listener, ListenerMessage{i, 0}, std::array{recipe.listener_fds[i]});
    }
    channel_->send(MessageType::start, generation);
}

WorkerProcess::~WorkerProcess() {
    counters_.fold(row_);
}

std::string WorkerProcess::name() const {
    return "worker " + identity_.pool + "/" + std::to_string(identity_.slot) + " (pid " +
           std::to_string(pid()) + ")";
}

void WorkerProcess::serve() {
    if (state_ != WorkerState::starting || channel_ == nullptr) return;
    state_ = WorkerState::serving;
    channel_->send(MessageType::serve, GenerationMessage{generation_});
}

void WorkerProcess::drain(int signal) {
    if (state_ == WorkerState::starting) stopped_accepting_ = true;
    state_ = WorkerState::draining;
    process_.signal(signal);
}

void WorkerProcess::hand_over_to(WorkerProcess& successor) {
    if (channel_ == nullptr || successor.channel_ == nullptr) return;
    const auto [give, take] = Channel::make_pair();
    successor.channel_->send(MessageType::handover_take, HandoverPeer{identity_.instance},
                             std::array{take.get()});
    channel_->send(MessageType::handover_give, HandoverPeer{successor.identity_.instance},
                   std::array{give.get()});
}

void WorkerProcess::send_log_file(int fd) {
    if (channel_ != nullptr) channel_->send(MessageType::log_file, {}, std::array{fd});
}

void WorkerProcess::on_exit() {
    if (channel_ != nullptr) channel_->receive_pending();
    channel_.reset();
    reports_.reset();
}

void WorkerProcess::on_message(Message& message) {
    switch (message.type) {
        case MessageType::ready:
            if (ready()) return;
            ready_ms_ = loop_.now_ms();
            return observer_.on_ready(*this);
        case MessageType::failed:
            last_words_ = message.text();
            return;
        case MessageType::stopped_accepting:
            stopped_accepting_ = true;
            state_ = WorkerState::draining;
            return observer_.on_stopped_accepting(*this);
        default:
            observer_.on_broken(*this, "it sent a message that is not a worker's");
    }
}

void WorkerProcess::on_channel_closed(std::string_view reason) {
    const std::string kept(reason);
    channel_.reset();
    // End-of-file is how a worker that exits looks from here: SIGCHLD follows.
    if (kept != "end of file") observer_.on_broken(*this, kept);
}

void WorkerProcess::on_report(const Report& report) {
    last_report_ = report;
    heartbeat_ms_ = loop_.now_ms();
    observer_.on_report(*this);
}

void WorkerProcess::on_report_end(const char* reason) {
    const std::string kept(reason);
    reports_.reset();
    if (kept != "end of file") observer_.on_broken(*this, kept);
}

void WorkerProcess::describe(WorkerStatus& status) const noexcept {
    status.pid = static_cast<std::uint32_t>(pid());
    status.instance = identity_.instance;
    status.generation = generation_;
    status.state = state_;
    status.started_ms = started_ms_;
    status.heartbeat_ms = heartbeat_ms_;
    status.connections = last_report_.connections;
    status.accepted = last_report_.accepted;
    status.loop_lag_us = last_report_.loop_lag_us;
    status.cpu_us = last_report_.cpu_us;
    status.resident_bytes = last_report_.resident_bytes;
    status.dropped_reports = last_report_.dropped;
}

}  // namespace drover
