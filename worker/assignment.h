// Assignment is what a worker is given to serve: image, libraries, listening sockets and files, as the
// channel brings them before the start; and the next image of a hot reload, prepared beside the one that
// serves, then committed when the master has passed the commit point, or abandoned. Owned by the worker. Runs
// in: worker.
#pragma once

#include "core/base/unique_fd.h"
#include "core/log/log.h"
#include "core/loop/event_loop.h"
#include "core/protocol/channel.h"
#include "core/protocol/report_pipe.h"
#include "worker/intake.h"
#include "worker/module/configuration.h"
#include "worker/module/module.h"
#include "worker/module/module_files.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace drover {

class ModuleHost;
struct Services;

class Assignment {
  public:
    Assignment(EventLoop& loop, Log& log, Channel& channel, Intake& intake, std::string pool);

    // Before begin() they are what the worker starts with; then they are the next ones, to be prepared. They
    // throw std::runtime_error for what cannot be of a master's.
    void take_image(Message& message);
    void take_library(Message& message);
    void take_listener(Message& message);
    ModuleFiles& files() noexcept { return files_; }
    // Descriptors that the master sent are lost: what comes of hot reloads from now on would be built on
    // them.
    void note_loss();
    bool short_of_descriptors() const noexcept { return state_ == State::short_of_descriptors; }

    // Once, for the start: the program's modules, and those of the libraries that this pool names.
    std::vector<ModuleFactory> load_modules(std::span<const ModuleFactory> own);
    std::vector<UniqueFd> take_listeners() { return std::exchange(listeners_, {}); }
    // The worker has started with it.
    void begin(Services& services, ModuleHost& modules);

    // What serves; null before the first image.
    const std::shared_ptr<const Configuration>& configuration() const noexcept { return configuration_; }
    const Settings& settings() const noexcept { return configuration_->settings(); }
    const PoolSettings& pool() const noexcept { return configuration_->pool(); }
    void note_generations(Report& report) const noexcept;

    // The answer, yes or no and why, goes to the master, at once or when a shortage has passed.
    void prepare();
    void abandon();
    // False when there is nothing to commit. The master is told by say_committed().
    bool commit();
    // Says so once, when the addresses that are gone are closed: nothing here keeps them in use.
    void say_committed();

  private:
    enum class State : std::uint8_t { starting, serving, short_of_descriptors };
    struct Next {
        std::shared_ptr<const Configuration> configuration;
        std::vector<UniqueFd> listeners;  // by number of the listener, until it is prepared
        Intake::Next intake;
        std::optional<std::int64_t> retry_end_ms;  // while its modules lack something
    };

    void prepare_modules();
    void refuse(const std::string& reason);
    void drop_next();
    void check_generations() const;

    EventLoop& loop_;
    Log& log_;
    Channel& channel_;
    Intake& intake_;
    const std::string pool_;
    State state_ = State::starting;
    Services* services_ = nullptr;  // these two from begin() on
    ModuleHost* modules_ = nullptr;
    std::shared_ptr<const Configuration> configuration_;
    std::vector<UniqueFd> listeners_;  // these two until begin()
    std::vector<UniqueFd> libraries_;  // by number in the image
    ModuleFiles files_;
    std::optional<Next> next_;
    Timer retry_timer_;
    std::vector<std::weak_ptr<const Configuration>> generations_;  // that something here may still use
    bool owes_committed_ = false;
};

}  // namespace drover
