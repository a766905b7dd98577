// ModuleHost holds a worker's modules: makes those that the pool lists, starts them in order, stops those
// that started in reverse, and finds the one that a listener names. Runs in: worker.
#pragma once

#include "conf/image/image.h"
#include "core/log/log.h"
#include "worker/module/module.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace drover {

class ModuleHost {
  public:
    // Throws std::runtime_error for a name that no factory makes.
    ModuleHost(std::span<const ModuleFactory> factories, const std::vector<std::string_view>& names);

    // `module_options` is the image's table of modules. An exception of a module's start, with its name put
    // before it, comes out after those that had started were stopped. A shortage (is_shortage) comes out as
    // it is: it says nothing of the options.
    void start(Services& services, const ImageNode& module_options);
    // A hot reload for the modules whose options differ between the two: all prepare, or those that did
    // abandon and the exception of the one that did not comes out as from start().
    void prepare(const Configuration& running, const std::shared_ptr<const Configuration>& next);
    void commit() noexcept;
    void abandon() noexcept;
    // One that throws is logged, and the others are told all the same.
    void drain(Log& log);
    void stop() noexcept;

    // Null for a name that the pool does not list.
    Module* find(std::string_view name) const noexcept;
    // A module has its options from this generation still: nothing of its own has changed since then.
    bool lives_on(std::uint64_t generation) const noexcept;

  private:
    struct Entry {
        std::unique_ptr<Module> module;
        std::uint64_t generation = 0;  // whose options it has
        std::uint64_t prepared = 0;    // the next one, while it is prepared; 0: none
    };

    std::vector<Entry> modules_;
    std::size_t started_ = 0;  // modules_[0, started_)
};

}  // namespace drover
