#include "worker/module_host.h"

#include "conf/diff.h"

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

}  // namespace

ModuleHost::ModuleHost(std::span<const ModuleFactory> factories, const std::vector<std::string_view>& names) {
    for (const std::string_view name : names)
        modules_.push_back(make(factories, name));
}

void ModuleHost::start(Services& services, const ImageNode& module_options) {
    for (const auto& module : modules_) {
        try {
            module->start(services, module_options.find(module->name()));
        } catch (const std::exception& failure) {
            stop();
            throw std::runtime_error("module " + std::string(module->name()) + ": " + failure.what());
        }
        ++started_;
    }
}

void ModuleHost::prepare(const Configuration& running, const std::shared_ptr<const Configuration>& next) {
    for (const auto& module : modules_) {
        const ImageNode options = next->module_options(module->name());
        if (same_values(running.module_options(module->name()), options)) continue;
        try {
            module->prepare(next, options);
        } catch (const std::exception& failure) {
            abandon();
            throw std::runtime_error("module " + std::string(module->name()) + ": " + failure.what());
        }
        prepared_.push_back(module.get());
    }
}

void ModuleHost::commit() noexcept {
    for (Module* const module : std::exchange(prepared_, {}))
        module->commit();
}

void ModuleHost::abandon() noexcept {
    for (Module* const module : std::exchange(prepared_, {}))
        module->abandon();
}

void ModuleHost::drain() {
    for (std::size_t i = started_; i > 0; --i)
        modules_[i - 1]->drain();
}

void ModuleHost::stop() noexcept {
    for (; started_ > 0; --started_)
        modules_[started_ - 1]->stop();
}

Module* ModuleHost::find(std::string_view name) const noexcept {
    const auto found =
        std::ranges::find_if(modules_, [&](const auto& module) { return module->name() == name; });
    return found == modules_.end() ? nullptr : found->get();
}

}  // namespace drover
