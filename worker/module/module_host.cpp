#include "worker/module/module_host.h"

#include "conf/image/diff.h"
#include "core/base/system_error.h"
#include "worker/module/configuration.h"
#include "worker/module/services.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace drover {

namespace {

std::unique_ptr<Module> make(std::span<const ModuleFactory> factories, std::string_view name) {
    for (const ModuleFactory factory : factories) {
        std::unique_ptr<Module> module = factory();
        if (module->name() == name) return module;
    }
    throw std::runtime_error("module \"" + std::string(name) + "\": this program has no such module");
}

// Within a catch block. A shortage says nothing of the module, and stays what it is.
[[noreturn]] void throw_named(std::string_view module) {
    try {
        throw;
    } catch (const std::exception& failure) {
        if (is_shortage(failure)) throw;
    } catch (...) {
    }
    throw std::runtime_error("module " + std::string(module) + ": " + caught_text());
}

}  // namespace

ModuleHost::ModuleHost(std::span<const ModuleFactory> factories, const std::vector<std::string_view>& names) {
    for (const std::string_view name : names)
        modules_.push_back({.module = make(factories, name)});
}

void ModuleHost::start(Services& services, const ImageNode& module_options) {
    for (Entry& entry : modules_) {
        try {
            entry.module->start(services, module_options.find(entry.module->name()));
        } catch (...) {
            stop();
            throw_named(entry.module->name());
        }
        entry.generation = services.configuration->generation();
        ++started_;
    }
}

void ModuleHost::prepare(const Configuration& running, const std::shared_ptr<const Configuration>& next) {
    for (Entry& entry : modules_) {
        const std::string_view name = entry.module->name();
        const ImageNode options = next->module_options(name);
        if (same_values(running.module_options(name), options)) continue;
        try {
            entry.module->prepare(next, options);
        } catch (...) {
            abandon();
            throw_named(name);
        }
        entry.prepared = next->generation();
    }
}

void ModuleHost::commit() noexcept {
    for (Entry& entry : modules_) {
        if (entry.prepared == 0) continue;
        entry.module->commit();
        entry.generation = std::exchange(entry.prepared, 0);
    }
}

void ModuleHost::abandon() noexcept {
    for (Entry& entry : modules_) {
        if (std::exchange(entry.prepared, 0) != 0) entry.module->abandon();
    }
}

void ModuleHost::drain(Log& log) {
    for (std::size_t i = started_; i > 0; --i) {
        Module& module = *modules_[i - 1].module;
        try {
            module.drain();
        } catch (...) {
            log.error("module " + std::string(module.name()) + ": drain: " + caught_text());
        }
    }
}

void ModuleHost::stop() noexcept {
    for (; started_ > 0; --started_)
        modules_[started_ - 1].module->stop();
}

Module* ModuleHost::find(std::string_view name) const noexcept {
    const auto found =
        std::ranges::find_if(modules_, [&](const Entry& entry) { return entry.module->name() == name; });
    return found == modules_.end() ? nullptr : found->module.get();
}

bool ModuleHost::lives_on(std::uint64_t generation) const noexcept {
    return std::ranges::find(modules_, generation, &Entry::generation) != modules_.end();
}

}  // namespace drover
