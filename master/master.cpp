#include "master/master.h"

#include "conf/reference.h"
#include "core/system_error.h"
#include "core/version.h"
#include "master/status_text.h"
#include "worker/status_json.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr std::array watched_signals{SIGHUP,  SIGTERM, SIGINT,  SIGQUIT, SIGUSR1,
                                     SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};
}  // namespace

Master::Master(std::string config_path, std::span<const ModuleFactory> modules)
    : config_path_(std::move(config_path)),
      modules_(modules),
      log_({"master", "", -1}),
      stop_timer_(loop_, Timer::Handler::to<&Master::on_stop_deadline>(this)),
      quiet_timer_(loop_, Timer::Handler::to<&Master::on_quiet_deadline>(this)),
      prepare_timer_(loop_, Timer::Handler::to<&Master::on_prepare_deadline>(this)),
      status_timer_(loop_, Timer::Handler::to<&Master::publish_status>(this)),
      watchdog_timer_(loop_, Timer::Handler::to<&Master::on_watchdog>(this)) {
    for (const int signal : watched_signals) {
        signals_.push_back(
            std::make_unique<SignalWatch>(loop_, signal, SignalWatch::Handler::to<&Master::on_signal>(this)));
    }
    status_.pid = static_cast<std::uint32_t>(::getpid());
    status_.started_ms = loop_.now_ms();
    status_.started_unix_s = std::time(nullptr);
    std::string_view(version()).copy(status_.version, sizeof(status_.version) - 1);
}

Master::~Master() = default;

ExitCode Master::run() {
    read_config();
    loop_.run();
    return exit_code_;
}

void Master::on_signal(int signal) {
    switch (signal) {
        case SIGHUP:
            desk_.ask(0, false);
            return handle(LifeEvent::reload);
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
            return log_.warning("USR2: upgrading the program in place is not supported");
        case SIGTTIN:
            return resize_first_pool(true);
        case SIGTTOU:
            return resize_first_pool(false);
        default:
            return reap();
    }
}

void Master::on_request(ControlCaller caller, const ControlRequest& request) {
    const std::string& command = request.command;
    if (command == "status" || command == "config") {
        control_->reply(caller, true, command == "status" ? status_reply(request) : config_reply(request));
    } else if (command == "reload") {
        if (is_stopping(state_)) return control_->reply(caller, false, "the master is stopping");
        desk_.ask(caller, request.fresh);
        handle(LifeEvent::reload);
    } else if (command == "stop" || command == "quit") {
        // The caller believes it when this process has ended.
        control_->reply(caller, true, "stopped");
        const bool already = is_stopping(state_) && state_ != LifeState::quitting;
        if (!already) handle(command == "stop" ? LifeEvent::stop : LifeEvent::quit);
    } else if (command == "reopen") {
        const std::string error = reopen_log();
        control_->reply(caller, error.empty(), error.empty() ? "log files reopened" : error);
    } else {
        control_->reply(caller, false, "unknown command \"" + command + "\"");
    }
}

std::string Master::status_reply(const ControlRequest& request) {
    publish_status();
    const std::int64_t now = loop_.now_ms();
    return request.format == "json" ? status_json(*counter_reader_, now)
                                    : status_table(*counter_reader_, now);
}

std::string Master::config_reply(const ControlRequest& request) const {
    if (current_ == nullptr) return "";
    return request.format == "json" ? to_json(current_->image()) : to_toml(current_->image());
}

void Master::on_watchdog() {
    notifier_.watchdog();
}

// Generations may move between current_, next_ and old_ while one of them hears of a death; none is destroyed
// before the sweep.
void Master::reap() {
    while (const auto reaped = reap_any()) {
        if (reader_ != nullptr && reader_->pid() == reaped->pid) {
            reader_->on_exit(reaped->report);
            continue;
        }
        for (Generation* const generation : generations()) {
            if (generation->on_exit(reaped->pid, reaped->report)) break;
        }
    }
    std::erase_if(old_, [](const auto& generation) { return generation->empty(); });
    check_quiet();
    check_gone();
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
    log_.info(worker.name() + " is ready");
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
    if (next_->all_ready()) handle(LifeEvent::generation_ready);
}

void Master::on_start_failed(Pool&, const std::string& reason) {
    failures_.push_back(reason);
    handle(LifeEvent::generation_failed);
}

void Master::on_worker_quiet(Pool&) {
    check_quiet();
}

void Master::on_committed(Pool&) {
    check_quiet();
}

// Whether the reload has come to its verdict: every worker serves the new configuration, and no old one
// accepts.
void Master::check_quiet() {
    if (state_ != LifeState::switching) return;
    if (hot_) {
        if (current_->all_committed()) handle(LifeEvent::old_quiet);
        return;
    }
    const bool accepting = std::ranges::any_of(old_, [](const auto& old) { return old->any_accepting(); });
    if (!accepting) handle(LifeEvent::old_quiet);
}

void Master::check_gone() {
    if (!is_stopping(state_) || reader_ != nullptr) return;
    const auto all = generations();
    const bool gone =
        std::ranges::all_of(all, [](const Generation* generation) { return generation->empty(); });
    if (gone) handle(LifeEvent::all_gone);
}

// Changes come in bursts (200 workers ready): the page is written once for all that happened in a turn of the
// loop.
void Master::on_status_changed() {
    if (!status_timer_.started()) status_timer_.start_once(std::chrono::milliseconds(0));
}

void Master::publish_status() {
    status_timer_.stop();
    if (counters_ == nullptr) return;
    status_.state = public_state();
    status_.generation = current_ != nullptr ? current_->number() : 0;
    std::vector<WorkerStatus> lines;
    for (const Generation* const generation : generations())
        generation->append_status(lines);
    counters_->status().write(status_, lines);
}

MasterState Master::public_state() const noexcept {
    if (is_stopping(state_)) return MasterState::stopping;
    if (state_ == LifeState::reading || state_ == LifeState::starting) return MasterState::starting;
    if (state_ != LifeState::running) return MasterState::reloading;
    const bool all_serve =
        std::ranges::all_of(current_->pools(), [](const auto& pool) { return pool->serving() > 0; });
    return all_serve ? MasterState::running : MasterState::degraded;
}

void Master::open_log(const Settings& settings) {
    const std::string target = settings.absolute_path(settings.master.log_file);
    pools_->log_file = open_log_file(target);
    log_.set_level(settings.master.log_level);
    log_.set_format(settings.master.log_format);
    log_.set_file(pools_->log_file.duplicate());
}

// Why the log files could not be reopened; empty: they were.
std::string Master::reopen_log() {
    if (current_ == nullptr) return "the master is starting";
    try {
        open_log(current_->settings());
    } catch (const std::exception& failure) {
        log_.error(std::string("log files stay as they are: ") + failure.what());
        return failure.what();
    }
    for (Generation* const generation : generations())
        generation->send_log_file(pools_->log_file.get());
    log_.info("log files reopened");
    return "";
}

void Master::resize_first_pool(bool grow) {
    if (current_ == nullptr || is_stopping(state_) || state_ == LifeState::starting) return;
    Pool& pool = current_->first_pool();
    if (next_ != nullptr || hot_)
        return log_.warning("pool " + pool.name() + " is not resized while a reload is under way");
    try {
        const bool done = grow ? pool.grow() : pool.shrink();
        const std::string size = std::to_string(pool.size()) + " workers";
        log_.info("pool " + pool.name() + (done ? ": " + size : " stays at " + size));
    } catch (const std::exception& failure) {
        log_.error("pool " + pool.name() + " cannot be resized: " + failure.what());
    }
}

}  // namespace drover
