// Checks a Document against everything that is declared (Drover's settings and the modules' options) and
// makes the image. Finds every error, not only the first. Runs in: the config reader.
#pragma once

#include "conf/image/diff.h"
#include "conf/image/image.h"
#include "conf/options/options.h"
#include "conf/reader/document.h"
#include "conf/reader/machine.h"
#include "conf/reader/machine_faults.h"
#include "core/counters/counter_declaration.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

// What a module declares to the configuration.
struct ModuleDeclaration {
    std::string name = {};
    // Of a module in a shared library: its path as pools name it, and what tells one build from another.
    // Empty: the program has the module.
    std::string library = {};
    std::string library_build = {};
    const OptionTable* options = nullptr;  // of [module.NAME]
    bool takes_connections = true;         // what its listeners may be (worker/module/module.h: Takes)
    bool takes_datagrams = false;
    std::vector<CounterDeclaration> counters = {};
    // Those that depend on the checked table; they come in place of `counters` where this is set. An
    // exception is a finding.
    std::function<std::vector<CounterDeclaration>(const ImageNode& options)> counters_of = {};
    // The module's own check of its checked table; may be empty. An exception is a finding, too.
    std::function<void(const ImageNode& options, Complaints& complaints)> check = {};
};

struct CheckedConfiguration {
    std::vector<std::string> findings;  // empty: valid; in the order of their places
    bool of_the_file = false;           // there are some that the file is to blame for, not the machine
    std::vector<std::byte> image;       // when valid
    Difference difference;              // from `running`; Change::fresh without one
};

// `running` may be null (first start, `drover check`); `machine` is what "auto" goes by. A key declared
// Apply::restart that differs from `running` is a finding, as are `machine_faults`.
CheckedConfiguration check_document(const Document& document, std::span<const ModuleDeclaration> modules,
                                    const Image* running, Machine machine = Machine::look(),
                                    std::span<const MachineFault> machine_faults = {});

// The user that module checks run as: [master] user, "" when absent or not a text (the check says so later).
std::string configured_user(const Document& document);
// Its environment: each entry that names a variable.
std::vector<std::string> configured_environment(const Document& document);

}  // namespace drover
