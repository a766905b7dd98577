#include "master/reader_child.h"

#include "conf/checker.h"
#include "conf/libraries.h"
#include "conf/machine_faults.h"
#include "conf/master_files.h"
#include "conf/privileged_values.h"
#include "conf/toml_reader.h"
#include "conf/value_text.h"
#include "core/build_info.h"
#include "core/channel.h"
#include "core/event_loop.h"
#include "core/exit_code.h"
#include "core/process.h"
#include "core/shared_memory.h"
#include "core/system_error.h"
#include "worker/module_declarations.h"
#include "worker/module_library.h"
#include "worker/privileges.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>

#include <sys/resource.h>

namespace drover {

namespace {

constexpr std::chrono::seconds goodbye_time{5};
constexpr rlim_t memory_limit = rlim_t{512} * 1024 * 1024;
constexpr rlim_t cpu_limit_s = 10;

void limit_resources() noexcept {
    const rlimit memory{memory_limit, memory_limit};
    if (!address_sanitizer) ::setrlimit(RLIMIT_AS, &memory);
    const rlimit cpu{cpu_limit_s, cpu_limit_s};
    ::setrlimit(RLIMIT_CPU, &cpu);
}

std::string build_of(int copy) {
    const Mapping file = map_private_read_only(copy, file_size(copy));
    const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    return std::to_string(std::hash<std::string_view>()(bytes));
}

// Says what it is about to load: constructors may end this process before it can say anything else. Returns
// the copy, which must stay open while others are loaded: their names come from their descriptors.
UniqueFd load_library(const Document& document, const std::string& entry,
                      std::vector<ModuleDeclaration>& modules, Channel& channel) {
    channel.send_text(MessageType::config_loading, entry);
    UniqueFd copy = copy_library((std::filesystem::path(document.directory) / entry).lexically_normal());
    ModuleDeclaration module = declare_module(load_module(copy.get()));
    if (std::ranges::find(modules, module.name, &ModuleDeclaration::name) != modules.end())
        throw std::runtime_error("its module is called " + module.name +
                                 ", and there is such a module already");
    module.library = entry;
    module.library_build = build_of(copy.get());
    modules.push_back(std::move(module));
    channel.send_text(MessageType::config_library, entry, std::array{copy.get()});
    return copy;
}

void load_libraries(const Document& document, std::vector<ModuleDeclaration>& modules, Channel& channel) {
    std::vector<std::string> findings;
    std::vector<UniqueFd> copies;
    for (const DocumentValue* const entry : find_libraries(document)) {
        if (std::ranges::find(modules, entry->text, &ModuleDeclaration::library) != modules.end()) continue;
        try {
            copies.push_back(load_library(document, entry->text, modules, channel));
        } catch (const std::exception& failure) {
            if (is_shortage(failure)) throw;
            findings.push_back(document.place_text(entry->place) + ": " + toml_string(entry->text) + ": " +
                               failure.what());
        }
    }
    if (!findings.empty()) throw ConfigError{std::move(findings)};
}

// All of it is with the master before any module code runs, which may do what it likes to this process and
// its channel: an empty text says that nothing more may come.
void send_rights(const Document& document, Channel& channel) {
    const std::string rights = privileged_values(document) + privileged_files(document);
    for (std::size_t at = 0; at < rights.size(); at += max_message_payload) {
        channel.send_text(MessageType::config_rights,
                          std::string_view(rights).substr(at, max_message_payload));
        if (!channel.flush(goodbye_time)) throw std::runtime_error("the master does not listen");
    }
    channel.send_text(MessageType::config_rights, "");
    if (!channel.flush(goodbye_time)) throw std::runtime_error("the master does not listen");
}

// That there is no such user is what the file says; that the system does not let us become him is not.
void give_up_configured_rights(const Document& document) {
    try {
        give_up_rights(configured_user(document), configured_environment(document));
    } catch (const std::system_error&) {
        throw;
    } catch (const std::runtime_error& failure) {
        const DocumentValue* const master = document.root.find("master");
        const DocumentValue* const user = master != nullptr ? master->find("user") : nullptr;
        const std::string place =
            user != nullptr ? master_file_place(document, *user, "master.user") : document.path;
        throw ConfigError{{place + ": " + failure.what()}};
    }
}

// Of those that may be a module's log, the logs.
std::vector<std::string> fault_lines(const std::vector<MachineFault>& faults, const Settings& settings) {
    std::vector<std::string> lines;
    for (const MachineFault& fault : faults) {
        const bool is_log =
            std::ranges::find(settings.files, fault.place, &FileSettings::place) != settings.files.end();
        if (!fault.module_log || is_log) lines.push_back(fault.place + ": " + fault.text);
    }
    return lines;
}

struct Outcome {
    CheckedConfiguration checked;
    std::vector<std::string> machine_faults = {};
};

// Parsing needs whatever rights the master has to the file; modules get no more than `user` has.
Outcome read_and_check(const ReaderInheritance& inheritance, Channel& channel) {
    const Document document = read_toml(inheritance.config_path);
    const auto faults = inheritance.trial ? find_machine_faults(document) : std::vector<MachineFault>();
    send_rights(document, channel);
    give_up_configured_rights(document);
    std::vector<ModuleDeclaration> modules = declare_modules(inheritance.modules);
    load_libraries(document, modules, channel);
    std::optional<Image> running;
    if (inheritance.running_image_fd >= 0) running.emplace(Image::open(inheritance.running_image_fd));
    Outcome outcome{check_document(document, modules, running ? &*running : nullptr)};
    if (outcome.checked.findings.empty() && !faults.empty())
        outcome.machine_faults = fault_lines(faults, Settings::load(Image::view(outcome.checked.image)));
    return outcome;
}

ExitCode report(Channel& channel, const Outcome& outcome, int image_memory) {
    const CheckedConfiguration& checked = outcome.checked;
    for (const std::string& finding : checked.findings)
        channel.send_text(MessageType::config_error, finding);
    if (!checked.findings.empty()) return ExitCode::config;
    for (const std::string& fault : outcome.machine_faults)
        channel.send_text(MessageType::config_error, fault);
    if (!outcome.machine_faults.empty()) return ExitCode::refused;
    for (const std::string& line : checked.difference.lines)
        channel.send_text(MessageType::config_change, line);
    publish_image(checked.image, image_memory);
    const ConfigImageMessage message{static_cast<std::uint32_t>(checked.difference.change), 0};
    return channel.send(MessageType::config_image, message) ? ExitCode::ok : ExitCode::refused;
}

}  // namespace

int run_config_reader(const ReaderInheritance& inheritance) {
    set_process_title("config reader");
    limit_resources();
    EventLoop loop;
    Channel channel(loop, UniqueFd(inheritance.channel_fd), {}, {});
    ExitCode code = ExitCode::refused;
    try {
        code = report(channel, read_and_check(inheritance, channel), inheritance.image_memory_fd);
    } catch (const ConfigError& error) {
        code = ExitCode::config;
        for (const std::string& finding : error.findings)
            channel.send_text(MessageType::config_error, finding);
    } catch (const std::exception& failure) {
        channel.send_text(MessageType::config_error, inheritance.config_path + ": " + failure.what());
    }
    channel.flush(goodbye_time);
    return to_int(code);
}

}  // namespace drover
