// How the master starts, and what generations share: the service, gates, counters, settings.
#include "core/base/version.h"
#include "master/master.h"

#include <csignal>
#include <utility>

namespace drover {

void Master::handle(LifeEvent event) {
    const LifeStep step = lifecycle_step(state_, event);
    state_ = step.next;
    on_status_changed();
    carry_out(step.action);
}

void Master::carry_out(LifeAction action) {
    switch (action) {
        case LifeAction::nothing:
            return;
        case LifeAction::announce:
            return announce();
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

// The running image is there for the difference.
void Master::read_config() {
    desk_.progress("reading " + config_path_);
    const int running = current_ != nullptr ? current_->image_fd() : -1;
    try {
        reader_ = std::make_unique<ConfigReader>(clock_, config_path_, modules_, running,
                                                 ConfigReader::VerdictHandler::to<&Master::on_verdict>(this));
    } catch (const std::exception& failure) {
        refuse_config({std::string("cannot start the config reader: ") + failure.what()}, false);
    }
}

void Master::on_verdict(ConfigReader::Verdict& said) {
    ConfigReader::Verdict verdict = std::move(said);
    reader_.reset();
    reap_soon();  // a stop may have waited for it
    if (is_stopping(state_)) return;
    if (!verdict.findings.empty()) return refuse_config(verdict.findings, verdict.of_the_file);
    reload_ != nullptr ? follow_verdict(std::move(verdict)) : start_first(std::move(verdict));
}

void Master::refuse_config(const std::vector<std::string>& findings, bool of_the_file) {
    if (reload_ == nullptr) return fail_start(of_the_file ? ExitCode::config : ExitCode::refused, findings);
    reload_->failures = findings;
    step(ReloadEvent::refused);
}

GenerationSource Master::take_source(ConfigReader::Verdict& verdict) {
    return {.image_fd = std::move(verdict.image_fd),
            .image = std::move(*verdict.image),
            .libraries = std::move(verdict.libraries)};
}

void Master::start_first(ConfigReader::Verdict verdict) {
    handle(LifeEvent::configured);
    try {
        open_service(Settings::load(*verdict.image));
    } catch (const std::exception& failure) {
        return fail(failure.what());
    }
    start_next(++last_generation_, take_source(verdict));
}

// Beside the running one, if there is one. Whatever cannot be had undoes all of it.
void Master::start_next(std::uint64_t number, GenerationSource source) {
    PoolObserver& observer = *this;
    try {
        next_ = std::make_unique<Generation>(number, std::move(source), service_->pools, service_->listeners,
                                             observer);
        if (current_ == nullptr) count_for(*next_);
        if (current_ != nullptr) current_->steer();  // its workers may have the old socket of a unix path
        desk_.progress("starting workers of generation " + std::to_string(number));
        next_->start();
    } catch (const std::exception& failure) {
        fail(failure.what());
    }
}

void Master::serve_first() {
    try {
        open_gates();
    } catch (const std::exception& failure) {
        return fail(failure.what());
    }
    handle(LifeEvent::serves);
}

void Master::open_service(const Settings& settings) {
    const Service::Ground ground{clock_, log_, events_, observation_, modules_};
    service_ = std::make_unique<Service>(ground, settings,
                                         ControlServer::RequestHandler::to<&Master::on_request>(this),
                                         [this] { return log_laggards(); });
    desk_.set_server(&service_->control);
    publish_status();  // before any worker may look
    events_.info(EventKind::start, {},
                 program_text(program_.name, program_.version, version()) + " starts, with " + config_path_);
    say_auto_workers(settings);
}

// Makes the next generation the current one. Throws when its listeners cannot listen, with nothing changed.
void Master::open_gates() {
    next_->serve();
    if (current_ != nullptr) {
        current_->make_room_for(*next_);
        old_.push_back(std::move(current_));
    }
    current_ = std::move(next_);
    count_for(*current_);
    warn_of_absent_listeners();
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
        service_->own_counters.follow(generation.number(), listeners);
    } catch (const std::exception& failure) {
        // The generation serves already.
        events_.error(EventKind::trouble, subject(),
                      std::string("listeners are not counted: ") + failure.what());
    }
}

void Master::warn_of_absent_listeners() {
    for (const ServingView::Listener& listener : serving_view().listeners) {
        if (!listener.missed) continue;
        const Pool* const pool = current_->find_pool(listener.pool);
        events_.warning(EventKind::trouble, pool->subject(),
                        missed_text(listener) + "; tried again at the next reload");
    }
}

void Master::announce() {
    const std::string text = "generation 1 serves on " + current_->listening_text();
    events_.info(EventKind::ready, subject(), "ready: " + text);
    notifier_.ready(text);
    if (const auto interval = notifier_.watchdog_interval(); interval.count() > 0) {
        watchdog_timer_.start_every(interval);
    }
    if (desk_.close(false, "the master was starting", {})) begin_reload();
}

// Copies for follow_settings(): the generation whose settings these are may be gone by then.
Master::SettingsSaid Master::settings_said() const {
    const Settings& settings = current_->settings();
    return {.log = settings.log_target(), .auto_workers = std::string(settings.auto_workers)};
}

void Master::follow_settings(const SettingsSaid& before) {
    const Settings& settings = current_->settings();
    if (settings.log_target() != before.log || service_->pools.log.moved()) reopen_log();
    log_.set_level(settings.master.log_level);
    log_.set_format(settings.master.log_format);
    if (settings.auto_workers != before.auto_workers) say_auto_workers(settings);
}

void Master::say_auto_workers(const Settings& settings) {
    if (!settings.auto_workers.empty())
        log_.info("workers = \"auto\" means " + std::string(settings.auto_workers));
}

}  // namespace drover
