#include "worker/assignment.h"

#include "core/base/system_error.h"
#include "worker/module/module_host.h"
#include "worker/module/module_library.h"
#include "worker/module/services.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace drover {

namespace {

constexpr std::chrono::milliseconds prepare_retry_interval{20};

}  // namespace

Assignment::Assignment(EventLoop& loop, Log& log, Channel& channel, Intake& intake, std::string pool)
    : loop_(loop),
      log_(log),
      channel_(channel),
      intake_(intake),
      pool_(std::move(pool)),
      retry_timer_(loop, Timer::Handler::to<&Assignment::prepare_modules>(this)) {}

void Assignment::take_image(Message& message) {
    auto configuration = std::make_shared<const Configuration>(message.as<GenerationMessage>().generation,
                                                               Image::open(message.fds[0].get()), pool_);
    std::erase_if(generations_, [](const auto& generation) { return generation.expired(); });
    generations_.push_back(configuration);
    if (state_ == State::starting) {
        configuration_ = std::move(configuration);
        return;
    }
    drop_next();
    next_.emplace().configuration = std::move(configuration);
}

void Assignment::take_library(Message& message) {
    libraries_.push_back(std::move(message.fds[0]));
}

void Assignment::take_listener(Message& message) {
    std::vector<UniqueFd>& listeners = next_ ? next_->listeners : listeners_;
    if (message.as<ListenerMessage>().index != listeners.size())
        throw std::runtime_error("listeners came out of order");
    listeners.push_back(std::move(message.fds[0]));
}

void Assignment::note_loss() {
    state_ = State::short_of_descriptors;
    abandon();
}

std::vector<ModuleFactory> Assignment::load_modules(std::span<const ModuleFactory> own) {
    std::vector<ModuleFactory> factories(own.begin(), own.end());
    const std::vector<LibrarySettings>& libraries = settings().libraries;
    if (libraries.size() != libraries_.size()) throw std::runtime_error("a library is missing");
    for (std::size_t i = 0; i < libraries.size(); ++i) {
        const bool ours = std::ranges::find(pool().modules, libraries[i].module) != pool().modules.end();
        if (ours) factories.push_back(load_module(libraries_[i].get()));
    }
    libraries_.clear();
    return factories;
}

void Assignment::begin(Services& services, ModuleHost& modules) {
    services_ = &services;
    modules_ = &modules;
    state_ = State::serving;
}

void Assignment::prepare() {
    if (!next_) return;
    try {
        check_generations();
        next_->intake = intake_.prepare(next_->configuration, std::exchange(next_->listeners, {}));
    } catch (const std::exception& failure) {
        return refuse(failure.what());
    }
    prepare_modules();
}

// A shortage may pass while the master waits for the others.
void Assignment::prepare_modules() {
    try {
        modules_->prepare(*configuration_, next_->configuration);
    } catch (const std::exception& failure) {
        if (!is_shortage(failure)) return refuse(failure.what());
        if (!next_->retry_end_ms) {
            next_->retry_end_ms = loop_.now_ms() + settings().master.prepare_timeout_ms / 2;
            log_.warning("a hot reload lacks something, and is tried again: " + std::string(failure.what()));
        }
        if (loop_.now_ms() >= *next_->retry_end_ms) return refuse(failure.what());
        return retry_timer_.start_once(prepare_retry_interval);
    }
    channel_.send(MessageType::prepared, GenerationMessage{next_->configuration->generation()});
}

void Assignment::refuse(const std::string& reason) {
    const std::string generation = std::to_string(next_->configuration->generation());
    drop_next();
    files_.abandon(*configuration_);
    channel_.send_text(MessageType::not_prepared, generation + " " + reason);
}

void Assignment::drop_next() {
    retry_timer_.stop();
    next_.reset();
}

void Assignment::abandon() {
    if (!next_) return;
    modules_->abandon();
    drop_next();
    files_.abandon(*configuration_);
}

bool Assignment::commit() {
    if (!next_) return false;
    intake_.commit(std::move(next_->intake));
    configuration_ = std::move(next_->configuration);
    drop_next();
    services_->configuration = configuration_;
    modules_->commit();
    files_.commit(*configuration_);
    intake_.finish_gone();
    owes_committed_ = true;
    return true;
}

void Assignment::say_committed() {
    if (!owes_committed_ || !intake_.gone_closed()) return;
    owes_committed_ = false;
    channel_.send(MessageType::committed, GenerationMessage{configuration_->generation()});
}

// Requests that are under way keep the generation they began with alive; slow ones must not pile them up. A
// generation that modules without a change live on is theirs.
void Assignment::check_generations() const {
    std::size_t alive = 0;
    std::size_t modules_own = 0;
    for (const auto& each : generations_) {
        const std::shared_ptr<const Configuration> configuration = each.lock();
        if (configuration == nullptr) continue;
        ++alive;
        const bool serves = configuration == configuration_;
        if (!serves && modules_->lives_on(configuration->generation())) ++modules_own;
    }
    const unsigned most = settings().master.max_generations;
    if (alive > max_older_generations + 1)
        throw std::runtime_error(std::to_string(alive - 1) + " generations are still in use");
    if (alive - modules_own <= most) return;
    throw std::runtime_error("requests that are under way still use " +
                             std::to_string(alive - modules_own - 1) +
                             " generations (master.max_generations is " + std::to_string(most) + ")");
}

static_assert(max_older_generations + 1 >= max_generations_limit);

// Whatever uses a generation's counters holds its configuration. A generation that was withdrawn has a higher
// number than the one that serves again.
void Assignment::note_generations(Report& report) const noexcept {
    report.generation = configuration_->generation();
    for (const auto& each : generations_) {
        const std::shared_ptr<const Configuration> configuration = each.lock();
        if (configuration == nullptr || configuration == configuration_) continue;
        if (report.older_count < std::size(report.older))
            report.older[report.older_count++] = configuration->generation();
    }
}

}  // namespace drover
