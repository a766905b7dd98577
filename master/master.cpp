#include "master/master.h"

#include "core/base/system_error.h"
#include "core/base/version.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr std::array watched_signals{SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD};
constexpr std::array terminal_signals{SIGTTIN, SIGTTOU};
// Between them others of the loop have their turn: each death can bring a start.
constexpr unsigned deaths_a_turn = 16;
// Between two writes of the status page: a millisecond more for so many workers.
constexpr std::int64_t least_publish_pause_ms = 10;
constexpr std::uint32_t lines_a_pause_ms = 8;

}  // namespace

Master::Master(std::string config_path, std::span<const ModuleFactory> modules, Program program)
    : config_path_(std::move(config_path)),
      modules_(modules),
      program_(std::move(program)),
      log_({"master", "", -1}),
      events_(log_),
      observation_(loop_, events_, ObservationDesk::Publish::to<&Master::publish_status>(this),
                   ObservationDesk::Describe::to<&Master::describe_status>(this)),
      terminal_signals_(loop_, terminal_signals, BlockedSignals::Handler::to<&Master::on_signal>(this)),
      stop_timer_(clock_, Timer::Handler::to<&Master::on_stop_deadline>(this)),
      status_timer_(loop_, Timer::Handler::to<&Master::publish_status>(this)),
      watchdog_timer_(loop_, Timer::Handler::to<&Master::on_watchdog>(this)),
      reap_timer_(loop_, Timer::Handler::to<&Master::reap>(this)),
      rollback_timer_(loop_, Timer::Handler::to<&Master::on_rollback_due>(this)),
      progress_timer_(loop_, Timer::Handler::to<&Master::on_progress_time>(this)),
      leftovers_(loop_, Timer::Handler::to<&Master::check_gone>(this)) {
    for (const int signal : watched_signals) {
        signals_.push_back(
            std::make_unique<SignalWatch>(loop_, signal, SignalWatch::Handler::to<&Master::on_signal>(this)));
    }
    status_.pid = static_cast<std::uint32_t>(::getpid());
    status_.started_ms = loop_.now_ms();
    status_.started_unix_s = std::time(nullptr);
    std::string_view(version()).copy(status_.version, sizeof(status_.version) - 1);
    program_.name.copy(status_.program, sizeof(status_.program) - 1);
    program_.version.copy(status_.program_version, sizeof(status_.program_version) - 1);
}

Master::~Master() = default;

ExitCode Master::run() {
    desk_.begin();
    read_config();
    loop_.run();
    hold_signals();
    return exit_code_;
}

void Master::on_signal(int signal) {
    switch (signal) {
        case SIGHUP:
            return ask_reload({});
        case SIGTERM:
            return handle(LifeEvent::stop);
        case SIGINT:
            return handle(LifeEvent::interrupt);
        case SIGQUIT:
            return handle(LifeEvent::quit);
        case SIGUSR1:
            reopen_log();
            return;
        case SIGUSR2:
            return events_.warning(EventKind::trouble, subject(),
                                   "USR2: upgrading the program in place is not supported");
        case SIGTTIN:
            return resize_by_signal(1);
        case SIGTTOU:
            return resize_by_signal(-1);
        default:
            return reap();
    }
}

void Master::on_watchdog() {
    notifier_.watchdog();
}

// Generations may move between current_, next_ and old_ while one of them hears of a death; none is destroyed
// before the sweep.
void Master::reap() {
    unsigned deaths = 0;
    while (deaths < deaths_a_turn) {
        const auto reaped = reap_any();
        if (!reaped) break;
        ++deaths;
        if (reader_ != nullptr && reader_->pid() == reaped->pid) {
            reader_->on_exit(reaped->report);
            continue;
        }
        for (Generation* const generation : generations()) {
            if (generation->on_exit(reaped->pid, reaped->report)) break;
        }
    }
    unsigned changes = 0;
    while (changes < deaths_a_turn) {
        const auto change = next_standstill();
        if (!change) break;
        ++changes;
        for (Generation* const generation : generations())
            generation->on_standstill(*change);
    }
    if (deaths == deaths_a_turn || changes == deaths_a_turn) reap_soon();
    std::erase_if(old_, [](const auto& generation) { return generation->empty(); });
    if (old_.empty()) step(ReloadEvent::old_gone);
    check_quiet();
    check_gone();
}

void Master::reap_soon() {
    if (!reap_timer_.started()) reap_timer_.start_once(std::chrono::milliseconds(0));
}

void Master::on_given_up() {
    reap_soon();
}

std::vector<Generation*> Master::generations() const {
    std::vector<Generation*> all;
    if (current_ != nullptr) all.push_back(current_.get());
    if (next_ != nullptr) all.push_back(next_.get());
    for (const auto& generation : old_)
        all.push_back(generation.get());
    return all;
}

void Master::on_worker_ready(Pool& pool, WorkerProcess& worker) {
    events_.info(EventKind::worker_ready, worker.subject(), worker.name() + " is ready");
    check_quiet();
    if (current_ != nullptr && current_->find_pool(pool.name()) == &pool) {
        for (const auto& old : old_)
            old->hand_over_to(pool, worker);
    }
    if (next_ == nullptr) return;
    const auto& pools = next_->pools();
    const bool of_next = std::ranges::any_of(pools, [&](const auto& each) { return each.get() == &pool; });
    if (!of_next) return;
    desk_.progress(worker.name() + " is ready");
    if (!next_->all_ready()) return;
    reload_ != nullptr ? step(ReloadEvent::ready) : serve_first();
}

void Master::on_start_failed(Pool&, const std::string& reason) {
    fail(reason);
}

void Master::on_worker_quiet(Pool&) {
    check_quiet();
    if (!progress_timer_.started()) progress_timer_.start_once(progress_interval);
}

// How far those are that drain; as long as there are any.
void Master::on_progress_time() {
    std::string text;
    for (const Generation* const generation : generations())
        generation->append_drain_progress(text);
    if (text.empty()) return;
    log_.info("draining: " + text);
    progress_timer_.start_once(progress_interval);
}

void Master::on_replacement_failed(Pool& pool, unsigned slot, const std::string& reason) {
    if (current_ != nullptr && current_->find_pool(pool.name()) == &pool)
        service_->orders.fail_restart(pool.name(), slot, reason);
}

void Master::on_not_filled(Pool& pool, unsigned slot, const std::string& reason) {
    if (current_ != nullptr && current_->find_pool(pool.name()) == &pool)
        service_->orders.fail_start(pool.name(), slot, reason);
}

void Master::on_committed(Pool&) {
    check_quiet();
}

// Whether the reload has come to its verdict: every worker serves the new configuration, and no old one
// accepts.
void Master::check_quiet() {
    if (reload_ == nullptr) return;
    const ReloadState state = reload_->state();
    if (state == ReloadState::committing && current_->all_committed()) return end_switch();
    if (state != ReloadState::switching) return;
    if (std::ranges::none_of(old_, [](const auto& old) { return old->any_accepting(); })) end_switch();
}

void Master::check_gone() {
    if (!is_stopping(state_) || reader_ != nullptr) return;
    const auto all = generations();
    const bool gone =
        std::ranges::all_of(all, [](const Generation* generation) { return generation->empty(); });
    if (gone && leftovers_gone()) handle(LifeEvent::all_gone);
}

// Changes come in bursts (200 workers ready), and each worker reports once a second. The page is written
// whole: the more lines it has, the less often. A caller that asks gets a fresh page.
void Master::on_status_changed() {
    if (service_ == nullptr) return;
    if (current_ != nullptr) service_->orders.look_at(*current_);
    service_->reopens.look();
    if (status_timer_.started()) return;
    const std::int64_t pause = least_publish_pause_ms + status_.worker_count / lines_a_pause_ms;
    const std::int64_t wait = published_ms_ + pause - loop_.now_ms();
    status_timer_.start_once(std::chrono::milliseconds(std::max<std::int64_t>(wait, 0)));
}

void Master::publish_status() {
    status_timer_.stop();
    if (service_ == nullptr) return;
    status_.state = public_state();
    status_.generation = current_ != nullptr ? current_->number() : 0;
    std::vector<WorkerStatus> lines;
    for (const Generation* const generation : generations())
        generation->append_status(lines);
    status_.worker_count = static_cast<std::uint32_t>(lines.size());
    service_->counters.status().write(status_, lines);
    published_ms_ = loop_.now_ms();
}

// The generation that serves.
EventSubject Master::subject() const noexcept {
    return {.generation = current_ != nullptr ? current_->number() : 0};
}

MasterState Master::public_state() const noexcept {
    if (is_stopping(state_)) return MasterState::stopping;
    if (state_ == LifeState::reading || state_ == LifeState::starting) return MasterState::starting;
    if (reload_ != nullptr && !reload_->over()) return MasterState::reloading;
    const bool healthy = std::ranges::all_of(
        current_->pools(), [](const auto& pool) { return pool->serving() >= pool->settings().min_healthy; });
    return healthy ? MasterState::running : MasterState::degraded;
}

// Why the log files could not be reopened, all of them; empty: they were.
std::string Master::reopen_log() {
    if (current_ == nullptr) return "the master is starting";
    try {
        const Settings& settings = current_->settings();
        Service::OpenedLog log = Service::open_log(settings);
        for (const std::string& failure : service_->pools.files.reopen(current_->files()))
            events_.error(EventKind::log_files, {},
                          "a file of a generation that leaves stays as it is: " + failure);
        service_->use_log(settings, std::move(log));
    } catch (const std::exception& failure) {
        events_.error(EventKind::log_files, {}, std::string("log files stay as they are: ") + failure.what());
        return failure.what();
    }
    ++service_->pools.log_turn;
    for (Generation* const generation : generations())
        generation->send_log_files();
    events_.info(EventKind::log_files, {}, "log files reopened");
    return "";
}

std::vector<std::string> Master::log_laggards() const {
    std::vector<std::string> names;
    for (const Generation* const generation : generations())
        generation->append_log_laggards(names);
    return names;
}

}  // namespace drover
