// What the lifecycle table's actions are, but for stopping (master_stop.cpp). Each leaves the master
// consistent before it feeds the next event back in.
#include "core/base/system_error.h"
#include "core/base/version.h"
#include "master/master.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace drover {

namespace {

// Rows of the counter table: four for each worker of the first configuration (a reload needs two), within
// these bounds.
constexpr std::uint32_t least_rows = 1024;
constexpr std::uint32_t most_rows = 65536;

CounterCapacity capacity_for(const Settings& settings) {
    std::uint32_t workers = 0;
    for (const PoolSettings& pool : settings.pools)
        workers += pool.workers;
    CounterCapacity capacity;
    capacity.cells = settings.master.counters;
    capacity.rows = std::clamp(workers * 4, least_rows, most_rows);
    return capacity;
}

}  // namespace

void Master::handle(LifeEvent event) {
    const LifeStep step = lifecycle_step(state_, event);
    state_ = step.next;
    on_status_changed();
    carry_out(step.action);
}

void Master::carry_out(LifeAction action) {
    switch (action) {
        case LifeAction::nothing:
        case LifeAction::remember_reload:  // the desk remembers
            return;
        case LifeAction::read_config:
            return read_config();
        case LifeAction::start_generation:
            return start_generation();
        case LifeAction::announce:
            return announce();
        case LifeAction::roll_back:
            return roll_back();
        case LifeAction::switch_over:
            return switch_over();
        case LifeAction::settle:
            return settle();
        case LifeAction::settle_unchanged:
            return settle_unchanged();
        case LifeAction::refuse:
            return refuse();
        case LifeAction::give_up:
            return give_up();
        case LifeAction::drain:
            return drain(SIGTERM);
        case LifeAction::drain_unlimited:
            return drain(SIGQUIT);
        case LifeAction::force:
            return force();
        case LifeAction::kill:
            return kill_all();
        case LifeAction::finish:
            return finish();
    }
}

void Master::read_config() {
    failures_.clear();
    desk_.begin();
    if (current_ != nullptr) {
        notifier_.reloading();
        events_.info(EventKind::reload_started, subject(), "reload: reading " + config_path_);
    }
    try {
        if (current_ != nullptr) renew_files();
    } catch (const std::exception& failure) {
        failures_ = {failure.what()};
        return handle(LifeEvent::config_refused);
    }
    desk_.progress("reading " + config_path_);
    const int running = current_ != nullptr ? current_->image_fd() : -1;
    try {
        reader_ = std::make_unique<ConfigReader>(clock_, config_path_, modules_, running,
                                                 ConfigReader::VerdictHandler::to<&Master::on_verdict>(this));
    } catch (const std::exception& failure) {
        failures_ = {std::string("cannot start the config reader: ") + failure.what()};
        handle(LifeEvent::config_refused);
    }
}

// Somebody may have cleaned up: nobody could reach this master by them. HUP needs none of them.
void Master::renew_files() {
    made_again_.clear();
    if (runtime_directory_->renew()) made_again_.push_back(runtime_directory_->path());
    if (pid_file_->renew()) made_again_.push_back(runtime_directory_->file("drover.pid"));
    if (control_->renew()) made_again_.push_back(runtime_directory_->file("control.sock"));
}

void Master::on_verdict(ConfigReader::Verdict& verdict) {
    verdict_ = std::make_unique<ConfigReader::Verdict>(std::move(verdict));
    reader_.reset();
    reap_soon();  // a stop may have waited for it
    if (!verdict_->findings.empty()) {
        failures_ = verdict_->findings;
        if (state_ == LifeState::reading && verdict_->of_the_file) exit_code_ = ExitCode::config;
        return handle(LifeEvent::config_refused);
    }
    const bool always_fresh =
        current_ != nullptr && current_->settings().master.reload == MasterSettings::Reload::fresh;
    const bool unchanged = current_ != nullptr && verdict_->change == Change::none && !always_fresh &&
                           !desk_.fresh_wanted() && !current_->resized();
    handle(unchanged ? LifeEvent::config_unchanged : LifeEvent::config_ready);
}

// Prepares the next generation: in the running workers when all that changed is hot, else with new ones
// beside them. Whatever cannot be had undoes all of it.
void Master::start_generation() {
    for (const std::string& change : verdict_->changes)
        events_.info(EventKind::reload_change, {.generation = last_generation_ + 1}, "reload: " + change);
    const bool fresh_wanted = current_ == nullptr || desk_.fresh_wanted() ||
                              verdict_->image->root().find("master").find("reload").text() == "fresh";
    const std::uint64_t number = ++last_generation_;
    if (verdict_->change <= Change::hot && !fresh_wanted) return prepare_hot(number);
    if (too_many_generations()) return handle(LifeEvent::generation_failed);
    start_fresh(number);
}

// Workers that still drain keep theirs alive; who reloads faster than they leave is told so.
bool Master::too_many_generations() {
    const std::size_t alive = old_.size() + (current_ != nullptr ? 1 : 0);
    const unsigned most = current_ != nullptr ? current_->settings().master.max_generations : 1;
    if (alive < most) return false;
    std::string text;
    for (const auto& old : old_)
        old->append_drain_progress(text);
    failures_.push_back(std::to_string(alive) + " generations are alive, and master.max_generations is " +
                        std::to_string(most) + "; draining: " + text);
    return true;
}

void Master::start_fresh(std::uint64_t number) {
    next_number_ = number;
    if (current_ != nullptr) current_->hold_sockets();
    if (old_.empty()) return begin_fresh();
    desk_.progress("waiting for workers of earlier generations to leave");
    old_timer_.start_once(old_leave_time);
}

// What the reader made, or the way back leads to.
GenerationSource Master::take_source() {
    return {.image_fd = std::move(verdict_->image_fd),
            .image = std::move(*verdict_->image),
            .libraries = std::move(verdict_->libraries)};
}

void Master::on_old_gone() {
    old_timer_.stop();
    begin_fresh();
}

void Master::begin_fresh() {
    PoolObserver& observer = *this;
    try {
        if (counters_ == nullptr) open_service(Settings::load(*verdict_->image));
        next_ = std::make_unique<Generation>(next_number_, take_source(), *pools_, listeners_, observer);
        if (current_ == nullptr) count_for(*next_);
        if (current_ != nullptr) current_->steer();  // its workers may have the old socket of a unix path
        desk_.progress("starting workers of generation " + std::to_string(next_->number()));
        next_->start();
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        handle(LifeEvent::generation_failed);
    }
}

// What the master has once, from the first configuration on.
void Master::open_service(const Settings& settings) {
    runtime_directory_ = std::make_unique<RuntimeDirectory>(settings.runtime_dir());
    pid_file_ = std::make_unique<PidFile>(runtime_directory_->file("drover.pid"));
    control_ = std::make_unique<ControlServer>(loop_, log_, runtime_directory_->file("control.sock"),
                                               ControlServer::RequestHandler::to<&Master::on_request>(this));
    desk_.set_server(control_.get());
    orders_.set_server(control_.get());
    reopens_.set_server(control_.get());
    event_desk_.set_server(control_.get());
    int lifeline[2];
    check_call(::pipe2(lifeline, O_CLOEXEC), "pipe2");
    lifeline_reader_.reset(lifeline[0]);
    lifeline_writer_.reset(lifeline[1]);
    counters_ = std::make_unique<CounterTable>(capacity_for(settings));
    counter_reader_ = std::make_unique<CounterReader>(counters_->read_only_fd(), counters_->row_source());
    constexpr std::uint64_t own_instance = 1;
    own_counters_ = std::make_unique<MasterCounters>(loop_, log_, *counters_, own_instance);
    pools_ = std::make_unique<PoolContext>(PoolContext{loop_, clock_, events_, *counters_, *own_counters_,
                                                       observation_, lifeline_reader_.get(), modules_,
                                                       own_instance + 1});
    publish_status();  // before any worker may look
    use_log(settings, open_log(settings));
    events_.info(EventKind::start, {},
                 program_text(program_.name, program_.version, version()) + " starts, with " + config_path_);
    say_auto_workers(settings);
}

// Makes the next generation the current one. False when its listeners cannot listen: nothing has changed
// then.
bool Master::open_gates() {
    try {
        next_->serve();
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        return false;
    }
    if (current_ != nullptr) {
        current_->make_room_for(*next_);
        old_.push_back(std::move(current_));
    }
    current_ = std::move(next_);
    count_for(*current_);
    warn_of_absent_listeners();
    return true;
}

void Master::count_for(const Generation& generation) {
    std::vector<MasterCounters::WatchedListener> listeners;
    for (const auto& pool : generation.pools()) {
        for (std::size_t i = 0; i < pool->listeners().size(); ++i) {
            const std::string address(pool->settings().listen[i].address_text);
            listeners.push_back({pool->name(), address, pool->listeners()[i]});
        }
    }
    try {
        own_counters_->follow(generation.number(), listeners);
    } catch (const std::exception& failure) {
        // The generation serves already.
        events_.error(EventKind::trouble, subject(),
                      std::string("listeners are not counted: ") + failure.what());
    }
}

void Master::warn_of_absent_listeners() {
    for (const auto& pool : current_->pools()) {
        for (std::size_t i = 0; i < pool->listeners().size(); ++i) {
            const Listener& listener = *pool->listeners()[i];
            if (!listener.absent()) continue;
            events_.warning(EventKind::trouble, pool->subject(),
                            "pool " + pool->name() + " goes without its optional listener " +
                                std::string(pool->settings().listen[i].address_text) + ": " +
                                listener.absence() + "; tried again at the next reload");
        }
    }
}

void Master::announce() {
    if (!open_gates()) return handle(LifeEvent::generation_failed);
    const std::string text = "generation 1 serves on " + current_->listening_text();
    events_.info(EventKind::ready, subject(), "ready: " + text);
    notifier_.ready(text);
    if (const auto interval = notifier_.watchdog_interval(); interval.count() > 0) {
        watchdog_timer_.start_every(interval);
    }
    if (desk_.close(false, "the master was starting", {})) handle(LifeEvent::reload);
}

// What the generation before had, and may be gone with it.
Master::SettingsSaid Master::settings_said() const {
    const Settings& settings = current_->settings();
    return {.log = settings.log_target(), .auto_workers = std::string(settings.auto_workers)};
}

void Master::follow_settings(const SettingsSaid& before) {
    const Settings& settings = current_->settings();
    if (settings.log_target() != before.log || pools_->log.moved()) reopen_log();
    log_.set_level(settings.master.log_level);
    log_.set_format(settings.master.log_format);
    if (settings.auto_workers != before.auto_workers) say_auto_workers(settings);
}

void Master::say_auto_workers(const Settings& settings) {
    if (!settings.auto_workers.empty())
        log_.info("workers = \"auto\" means " + std::string(settings.auto_workers));
}

void Master::switch_over() {
    if (hot_) return commit_hot();
    Generation* const before = current_.get();
    std::optional<Fallback> fallback;
    try {
        fallback = fall_back_to(*before, false);
    } catch (const std::exception& failure) {
        failures_.emplace_back(failure.what());
        return handle(LifeEvent::generation_failed);
    }
    const SettingsSaid said = settings_said();
    if (!open_gates()) return handle(LifeEvent::generation_failed);
    if (rollback_reason_.empty()) begin_probation(std::move(*fallback));
    follow_settings(said);
    desk_.progress("generation " + std::to_string(current_->number()) +
                   " serves; the workers before it drain");
    for (const auto& old : old_)
        old->hand_over_to(*current_);
    before->make_way();
    quiet_timer_.start_once(quiet_time);
    check_quiet();
}

void Master::on_quiet_deadline() {
    if (hot_) {
        current_->replace_uncommitted();
        return handle(LifeEvent::old_quiet);  // what is missing is being replaced, and the status shows it
    }
    for (const auto& old : old_)
        old->kill_accepting();
}

}  // namespace drover
