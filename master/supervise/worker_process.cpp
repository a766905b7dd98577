#include "master/supervise/worker_process.h"

#include "core/base/system_error.h"
#include "core/base/visible_text.h"
#include "core/process/process_facts.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace drover {

namespace {

// Workers keep to drain_timeout by themselves; one that hangs is ended this much later.
constexpr std::chrono::milliseconds drain_grace{2000};
constexpr std::chrono::milliseconds abort_time{2000};  // for writing a core
constexpr std::chrono::milliseconds exit_time{500};    // from the end of a channel to the end of its process
constexpr std::chrono::milliseconds end_time{5000};    // from KILL to the end of its process
constexpr unsigned most_end_looks = 6;                 // at one that takes longer, and is not stuck
// Until it is looked whether a worker has read the rows that it was sent.
constexpr std::chrono::milliseconds rows_delay{10};
// A silent worker that has had this much processor time since it was first missed is stuck.
constexpr std::uint64_t chance_us = 20'000;
constexpr std::chrono::milliseconds chance_time{500};  // until it is looked at again
// At one of which the kernel cannot be asked: no descriptor is free.
constexpr unsigned most_blind_looks = 20;

std::uint32_t take_row(CounterTable& counters, const WorkerRecipe& recipe) {
    const WorkerIdentity& identity = recipe.identity;
    const auto row = counters.take_row({identity.instance, recipe.generation, identity.pool, identity.slot});
    if (!row) throw std::length_error("the counter table has no free row for another worker");
    return *row;
}

std::string text_of(char state, pid_t pid) {
    const std::string where = wait_channel(pid);
    return std::string("state ") + state + (where.empty() ? "" : ", waits in " + where);
}

}  // namespace

WorkerProcess::WorkerProcess(const RunClock& clock, CounterTable& counters, const WorkerRecipe& recipe,
                             WorkerObserver& observer)
    : counters_(counters),
      clock_(clock),
      loop_(clock.loop()),
      observer_(observer),
      desk_(*recipe.desk),
      observes_(recipe.observes),
      identity_(recipe.identity),
      generation_(recipe.generation),
      log_turn_(recipe.log_turn),
      sent_log_turn_(recipe.log_turn),
      row_(take_row(counters, recipe)),
      start_timer_(clock, Timer::Handler::to<&WorkerProcess::on_start_time>(this)),
      kill_timer_(clock, Timer::Handler::to<&WorkerProcess::on_kill_time>(this)),
      end_timer_(clock, Timer::Handler::to<&WorkerProcess::on_end_time>(this)),
      silence_timer_(clock, Timer::Handler::to<&WorkerProcess::on_silence>(this)),
      rows_timer_(loop_, Timer::Handler::to<&WorkerProcess::send_rows>(this)),
      started_ms_(loop_.now_ms()),
      heard_ms_(clock.now_ms()) {
    try {
        auto [our_channel, their_channel] = Channel::make_pair();
        auto [read_end, write_end] = make_report_pipe();
        const WorkerInheritance inheritance{identity_, their_channel.get(), write_end.get(),
                                            recipe.lifeline_fd, recipe.modules};
        const std::array keep{their_channel.get(), write_end.get(), recipe.lifeline_fd};
        process_ = spawn({.loop = &loop_, .keep_fds = keep, .hold_signals = true},
                         [&inheritance] { return run_worker(inheritance); });
        counters_.set_row_pid(row_, static_cast<std::uint32_t>(process_.pid()));
        channel_ = std::make_unique<Channel>(
            loop_, std::move(our_channel), Channel::MessageHandler::to<&WorkerProcess::on_message>(this),
            Channel::ClosedHandler::to<&WorkerProcess::on_channel_closed>(this));
        reports_ = std::make_unique<ReportReader>(
            loop_, std::move(read_end), ReportReader::ReportHandler::to<&WorkerProcess::on_report>(this),
            ReportReader::EndHandler::to<&WorkerProcess::on_report_end>(this));
        send_all(recipe);
    } catch (...) {
        if (process_) process_.signal(SIGKILL);
        counters_.fold(row_);
        throw;
    }
    start_timer_.start_once(recipe.start_timeout);
}

// A worker that lacks a part of it would blame the configuration.
void WorkerProcess::send_all(const WorkerRecipe& recipe) {
    bool sent = send_log(*recipe.log);
    sent =
        sent && channel_->send(MessageType::counter_table, CounterTableMessage{identity_.instance, row_, 0},
                               std::array{counters_.read_only_fd(), counters_.row_fd(row_)});
    sent = sent && send_configuration(recipe);
    for (std::uint32_t i = 0; i < recipe.library_fds.size(); ++i) {
        const std::array library{recipe.library_fds[i]};
        sent = sent && channel_->send(MessageType::library, ListenerMessage{i, 0}, library);
    }
    sent = sent && channel_->send(MessageType::start, GenerationMessage{generation_});
    if (!sent && !channel_->closing()) throw_error(EMFILE, "send", name());
}

WorkerProcess::~WorkerProcess() {
    drop_channel();
    counters_.fold(row_);
}

std::string WorkerProcess::name() const {
    return "worker " + identity_.pool + "/" + std::to_string(identity_.slot) + " (pid " +
           std::to_string(pid()) + ")";
}

EventSubject WorkerProcess::subject() const noexcept {
    return {.pool = identity_.pool,
            .slot = static_cast<int>(identity_.slot),
            .pid = pid(),
            .generation = generation_};
}

void WorkerProcess::serve() {
    if (state_ != WorkerState::starting || channel_ == nullptr) return;
    state_ = WorkerState::serving;
    channel_->send(MessageType::serve, GenerationMessage{generation_});
}

void WorkerProcess::prepare(const WorkerRecipe& next) {
    next_generation_ = next.generation;
    prepared_ = false;
    const bool sent = send_configuration(next);
    const MessageType type = sent ? MessageType::prepare : MessageType::abandon;
    if (channel_ != nullptr) channel_->send(type, GenerationMessage{next.generation});
    process_.signal(SIGHUP);
}

void WorkerProcess::commit() {
    generation_ = std::exchange(next_generation_, 0);
    prepared_ = false;
    committing_ = true;
    counters_.set_row_generation(row_, generation_);
    if (channel_ != nullptr) channel_->send(MessageType::commit, GenerationMessage{generation_});
    process_.signal(SIGHUP);
}

void WorkerProcess::abandon() {
    const std::uint64_t generation = std::exchange(next_generation_, 0);
    prepared_ = false;
    if (generation != 0 && channel_ != nullptr) {
        channel_->send(MessageType::abandon, GenerationMessage{generation});
    }
}

// False when a part could not be sent, and those after it were not.
bool WorkerProcess::send_configuration(const WorkerRecipe& recipe) {
    if (channel_ == nullptr) return false;
    bool sent =
        channel_->send(MessageType::image, GenerationMessage{recipe.generation}, std::array{recipe.image_fd});
    for (std::uint32_t i = 0; i < recipe.listener_fds.size(); ++i) {
        const std::array listener{recipe.listener_fds[i]};
        sent = sent && channel_->send(MessageType::listener, ListenerMessage{i, 0}, listener);
    }
    const MessageType type =
        generation_ == recipe.generation ? MessageType::module_file : MessageType::next_module_file;
    for (const auto& file : recipe.files)
        sent = sent && send_file(type, *file);
    return sent;
}

void WorkerProcess::leave(int signal, std::chrono::milliseconds drain_timeout) {
    if (state_ == WorkerState::starting) {
        stopped_accepting_ = true;
        idle_ = true;
    }
    state_ = WorkerState::draining;
    const char state = state_in_kernel(pid());
    if (state == 'T' || (state == '?' && stopped_)) return kill("stopped when it had to leave");
    const bool drains = signal == SIGTERM || signal == SIGQUIT;
    if (drains && channel_ != nullptr)
        channel_->send(MessageType::leave, LeaveMessage{signal == SIGTERM ? 1U : 0U, 0});
    if (signal == SIGKILL) return send_kill();
    process_.signal(signal);
    if (signal != SIGTERM || !killed_because_.empty()) return;
    // Told again, it hands over no more.
    const bool told_before = kill_timer_.started();
    const std::chrono::milliseconds limit = told_before ? drain_timeout : drain_timeout + handover_limit_;
    const std::int64_t leaves_by_ms = loop_.now_ms() + limit.count();
    if (told_before && leaves_by_ms >= leaves_by_ms_) return;
    leaves_by_ms_ = leaves_by_ms;
    kill_timer_.start_once(limit + drain_grace);
}

void WorkerProcess::on_start_time() {
    if (!had_its_chance()) return start_timer_.start_once(chance_time);
    observer_.on_late(*this);
}

void WorkerProcess::on_kill_time() {
    if (killed_because_.empty()) killed_because_ = "still there after drain_timeout";
    send_kill();
}

void WorkerProcess::send_kill() {
    process_.signal(SIGKILL);
    if (!end_timer_.started()) end_timer_.start_once(end_time);
}

// One that runs is on its way out: its memory is being freed.
void WorkerProcess::on_end_time() {
    const char state = state_in_kernel(pid());
    const bool waits = state != 'R' && state != 'Z' && state != '?';
    if (!waits && ++end_looks_ < most_end_looks) return end_timer_.start_once(end_time);
    killed_because_ += "; " + text_of(state, pid());
    observer_.on_unkillable(*this);
}

void WorkerProcess::discard(std::string reason) {
    idle_ = true;
    kill(std::move(reason));
}

void WorkerProcess::tell_pool_full(bool full) {
    if (std::exchange(pool_full_, full) == full || channel_ == nullptr) return;
    channel_->send(MessageType::pool_full, RoomMessage{full ? 1U : 0U, 0});
}

bool WorkerProcess::watch_socket(unsigned listener, int socket) {
    return channel_ != nullptr &&
           channel_->send(MessageType::watch_listener, ListenerMessage{listener, 0}, std::array{socket});
}

void WorkerProcess::tell_listener_ends(unsigned listener) {
    if (channel_ != nullptr) channel_->send(MessageType::listener_ends, ListenerMessage{listener, 0});
}

std::string WorkerProcess::end_hanging() {
    hangs_ = true;
    const char state = state_in_kernel(pid());
    const std::string text = text_of(state, pid());
    if (state == 'T' || state == 't') {
        kill("hung", DeathCause::hang);
        return text + "; killed";
    }
    killed_because_ = "hung";
    killed_for_ = DeathCause::hang;
    process_.signal(SIGABRT);
    kill_timer_.start_once(abort_time);
    return text + "; aborted";
}

void WorkerProcess::kill(std::string reason, DeathCause cause) {
    killed_because_ = std::move(reason);
    killed_for_ = cause;
    send_kill();
}

std::string WorkerProcess::cause_of_death(const ExitReport& report) const {
    std::string text = report.text();
    if (!killed_because_.empty()) text += " (" + killed_because_ + ")";
    if (!last_words_.empty()) text += ": " + last_words_;
    return text;
}

DeathCause WorkerProcess::death_cause(const ExitReport& report) const noexcept {
    if (!killed_because_.empty()) return killed_for_;
    return report.signal != 0 ? DeathCause::signal : DeathCause::exit;
}

std::int64_t WorkerProcess::silent_ms() const noexcept {
    return clock_.now_ms() - heard_ms_;
}

bool WorkerProcess::had_its_chance() {
    const char state = state_in_kernel(pid());
    if (state == '?' && ++blind_looks_ >= most_blind_looks) return true;
    if (state != '?' && state != 'R') return true;
    const std::uint64_t used_us = processor_time_us_of(pid());
    if (!suspect_cpu_us_) suspect_cpu_us_ = used_us;
    return used_us - *suspect_cpu_us_ >= chance_us;
}

std::uint64_t WorkerProcess::resident_bytes() const {
    return resident_bytes_of(pid());
}

bool WorkerProcess::hand_over_to(WorkerProcess& successor, std::chrono::milliseconds limit,
                                 DescriptorReserve& reserve) {
    const std::uint64_t instance = successor.identity_.instance;
    if (std::ranges::find(successors_, instance) != successors_.end()) return true;
    if (channel_ == nullptr || successor.channel_ == nullptr) return false;
    const DescriptorReserve::Room room(reserve);
    std::pair<UniqueFd, UniqueFd> ends;
    try {
        ends = Channel::make_pair();
    } catch (const std::system_error&) {
        return false;
    }
    const auto& [give, take] = ends;
    const bool told = successor.channel_->send(MessageType::handover_take, HandoverPeer{identity_.instance},
                                               std::array{take.get()});
    if (!told) return false;
    const bool gives =
        channel_->send(MessageType::handover_give, HandoverPeer{instance}, std::array{give.get()});
    if (!gives) return false;
    handover_limit_ = limit;
    successors_.push_back(instance);
    return true;
}

bool WorkerProcess::send_log(const LogTarget& log) {
    return send_to_append(MessageType::log_file, log.name, log.reopen(), log.fd) || unreachable();
}

void WorkerProcess::send_log_turn(std::uint64_t turn) {
    sent_log_turn_ = turn;
    if (channel_ != nullptr) channel_->send(MessageType::log_files_sent, QuestionMessage{turn});
}

bool WorkerProcess::send_file(MessageType type, const OpenedFile& file) {
    return send_to_append(type, file.name, file.reopen(), file.fd);
}

// At its limit of descriptors the master shares its own.
bool WorkerProcess::send_to_append(MessageType type, std::string_view name, const UniqueFd& own,
                                   const UniqueFd& shared) {
    return channel_ != nullptr && channel_->send_text(type, name, std::array{own ? own.get() : shared.get()});
}

void WorkerProcess::on_exit() {
    if (channel_ != nullptr) channel_->receive_pending();
    drop_channel();
    reports_.reset();
    start_timer_.stop();
    kill_timer_.stop();
    end_timer_.stop();
    silence_timer_.stop();
}

void WorkerProcess::on_message(Message& message) {
    switch (message.type) {
        case MessageType::ready:
            if (ready()) return;
            start_timer_.stop();
            ready_ms_ = loop_.now_ms();
            heard_ms_ = clock_.now_ms();
            return observer_.on_ready(*this);
        case MessageType::prepared:
            if (message.as<GenerationMessage>().generation != next_generation_) return;
            prepared_ = true;
            return observer_.on_prepared(*this);
        case MessageType::not_prepared:
            return on_not_prepared(message.text());
        case MessageType::committed:
            committing_ = false;
            return observer_.on_committed(*this);
        case MessageType::log_files_taken:
            return on_log_files_taken(message.as<QuestionMessage>().number);
        case MessageType::leave_wanted:
            return observer_.on_leave_wanted(*this);
        case MessageType::failed:
            last_words_ = visible_text(message.text());
            return;
        case MessageType::stopped_accepting:
            if (std::exchange(stopped_accepting_, true)) return;
            state_ = WorkerState::draining;
            return observer_.on_stopped_accepting(*this);
        case MessageType::handed_over:
            if (std::exchange(handed_over_, true)) return;
            return observer_.on_handed_over(*this, message.as<HandoverResult>());
        default:
            if (!answer(message)) observer_.on_broken(*this, "it sent a message that is not a worker's");
    }
}

void WorkerProcess::on_log_files_taken(std::uint64_t turn) {
    if (turn > sent_log_turn_)
        return observer_.on_broken(*this, "it says that it has taken log files that it was not sent");
    if (turn <= log_turn_) return;
    log_turn_ = turn;
    observer_.on_log_files_taken(*this);
}

// Answers a question of the worker's. False: the message is no question, or this worker may not ask it.
bool WorkerProcess::answer(const Message& message) {
    if (message.type == MessageType::status_wanted) {
        desk_.answer_status(*channel_, message.as<QuestionMessage>(),
                            observes_ ? StatusAnswer::page : StatusAnswer::text);
    } else if (message.type == MessageType::events_wanted && observes_) {
        desk_.answer_events(*channel_, message.as<QuestionMessage>());
    } else if (message.type == MessageType::counter_rows_wanted && observes_) {
        rows_wanted_ = message.as<QuestionMessage>().number;
        send_rows();
    } else {
        return false;
    }
    return true;
}

bool WorkerProcess::rows_unread() const {
    return channel_->has_queued() || (rows_sent_ && !all_read(channel_->fd()));
}

// One that asks for more before it has read what it was sent has to wait: descriptors would pile up.
void WorkerProcess::send_rows() {
    if (!rows_wanted_ || channel_ == nullptr) return;
    if (rows_unread()) return rows_timer_.start_once(rows_delay);
    const std::uint64_t after = *std::exchange(rows_wanted_, std::nullopt);
    RowBatch batch{.sequence = after, .rows = {}};
    try {
        batch = counters_.rows_after(after);
    } catch (const std::system_error&) {
        // No descriptor is free: it asks again with its next question.
    }
    std::vector<std::byte> bytes(sizeof(QuestionMessage) + batch.rows.size() * sizeof(RowTicket));
    std::vector<int> fds;
    const QuestionMessage head{batch.sequence};
    std::memcpy(bytes.data(), &head, sizeof head);
    for (const RowBatch::Row& row : batch.rows) {
        std::memcpy(bytes.data() + sizeof head + fds.size() * sizeof row.ticket, &row.ticket,
                    sizeof row.ticket);
        fds.push_back(row.fd.get());
    }
    const bool sent = channel_->send(MessageType::counter_rows, bytes, fds);
    rows_sent_ = sent && !fds.empty();
    if (!sent && !channel_->closing()) channel_->send(MessageType::counter_rows, QuestionMessage{after});
}

void WorkerProcess::drop_channel() {
    rows_timer_.stop();
    if (channel_ != nullptr) desk_.forget(*channel_);
    channel_.reset();
}

// A late answer to a reload that was refused meanwhile does not count for the one that is under way.
void WorkerProcess::on_not_prepared(std::string_view text) {
    const std::string about = std::to_string(next_generation_) + " ";
    if (next_generation_ == 0 || !text.starts_with(about)) return;
    observer_.on_not_prepared(*this, visible_text(text.substr(about.size())));
}

void WorkerProcess::on_channel_closed(std::string_view reason) {
    const std::string kept(reason);
    drop_channel();
    if (kept != "end of file") return observer_.on_broken(*this, kept);
    // This is how a worker that exits looks from here: SIGCHLD follows, or else it lives on and drains, out
    // of reach.
    silence_timer_.start_once(exit_time);
}

void WorkerProcess::on_silence() {
    if (std::exchange(stopped_accepting_, true)) return;
    state_ = WorkerState::draining;
    observer_.on_stopped_accepting(*this);
}

void WorkerProcess::on_report(const Report& report) {
    last_report_ = report;
    reported_ = true;
    heard_ms_ = clock_.now_ms();
    suspect_cpu_us_.reset();
    blind_looks_ = 0;
    if (report.older_count <= std::size(report.older)) {
        counters_.set_older_generations(row_, report.generation,
                                        std::span(report.older).first(report.older_count));
    }
    if (std::exchange(was_full_, full()) != full()) observer_.on_room_changed(*this);
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
    status.stands_still = stopped_ || hangs_ ? 1 : 0;
    status.started_ms = started_ms_;
    status.leaves_by_ms = leaves_by_ms_;
    status.heartbeat_ms = reported_ ? clock_.to_monotonic_ms(heard_ms_) : 0;
    status.connections = last_report_.connections;
    status.accepted = last_report_.accepted;
    status.loop_lag_us = last_report_.loop_lag_us;
    status.cpu_us = last_report_.cpu_us;
    status.resident_bytes = last_report_.resident_bytes;
    status.dropped_reports = last_report_.dropped;
}

}  // namespace drover
