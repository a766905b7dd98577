#include "worker/module/module_declarations.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

namespace drover {

namespace {

bool contains(const std::vector<ModuleDeclaration>& declarations, std::string_view name) {
    return std::ranges::find(declarations, name, &ModuleDeclaration::name) != declarations.end();
}

}  // namespace

std::vector<ModuleDeclaration> declare_modules(std::span<const ModuleFactory> factories) {
    std::vector<ModuleDeclaration> declarations;
    declarations.reserve(factories.size());
    for (const ModuleFactory factory : factories) {
        ModuleDeclaration declaration = declare_module(factory);
        if (!contains(declarations, declaration.name)) declarations.push_back(std::move(declaration));
    }
    return declarations;
}

ModuleDeclaration declare_module(ModuleFactory factory) {
    const std::shared_ptr<const Module> module = factory();
    ModuleDeclaration declaration;
    declaration.name = module->name();
    declaration.options = &module->options();
    declaration.takes_connections = module->takes().connections;
    declaration.takes_datagrams = module->takes().datagrams;
    declaration.counters = module->counters();
    declaration.counters_of = [module](const ImageNode& options) { return module->counters_of(options); };
    declaration.check = [module](const ImageNode& options, Complaints& complaints) {
        module->check(options, complaints);
    };
    return declaration;
}

}  // namespace drover
