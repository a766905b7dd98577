#include "master/reload/reader_child.h"

#include "conf/options/findings.h"
#include "conf/options/value_text.h"
#include "conf/reader/checker.h"
#include "conf/reader/libraries.h"
#include "conf/reader/machine_faults.h"
#include "conf/reader/privileged_values.h"
#include "conf/reader/toml_reader.h"
#include "core/base/build_info.h"
#include "core/base/check.h"
#include "core/base/exit_code.h"
#include "core/base/system_error.h"
#include "core/loop/event_loop.h"
#include "core/memory/shared_memory.h"
#include "core/process/process.h"
#include "core/protocol/channel.h"
#include "worker/module/module_declarations.h"
#include "worker/module/module_library.h"
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

// Runs the library's constructors and the module's own code.
ModuleDeclaration declare_library(int copy, const std::string& entry,
                                  const std::vector<ModuleDeclaration>& modules) {
    ModuleDeclaration module = declare_module(load_module(copy));
    if (std::ranges::find(modules, module.name, &ModuleDeclaration::name) != modules.end())
        throw std::runtime_error("its module is called " + module.name +
                                 ", and there is such a module already");
    module.library = entry;
    module.library_build = build_of(copy);
    return module;
}

// The master hears of each entry before it is loaded: constructors may end this process before it can say
// anything else. An entry that cannot be loaded is one finding, and nothing else is said of its module.
// Without a known user there is no finding: the library may be one that only the right user can open.
void load_libraries(Document& document, std::vector<ModuleDeclaration>& modules, Channel& channel) {
    // All stay open until the last is loaded: the libraries' names come from their descriptors.
    std::vector<UniqueFd> copies;
    for (DocumentValue* const entry : find_libraries(document)) {
        if (std::ranges::find(modules, entry->text, &ModuleDeclaration::library) != modules.end()) continue;
        UniqueFd& copy = copies.emplace_back();
        try {
            channel.send_text(MessageType::config_loading, entry->text);
            copy = copy_library((std::filesystem::path(document.directory) / entry->text).lexically_normal());
            modules.push_back(declare_library(copy.get(), entry->text, modules));
            channel.send_text(MessageType::config_library, entry->text, std::array{copy.get()});
        } catch (const std::exception& failure) {
            if (is_shortage(failure)) throw;
            // Without a copy no code of the module has run, and the error is the system's.
            const bool of_machine = !copy && dynamic_cast<const std::system_error*>(&failure) != nullptr;
            if (document.user_is_known)
                document.faults.push_back(
                    {entry->place, toml_string(entry->text) + ": " + failure.what(), of_machine});
            entry->kind = DocumentKind::unread;
        }
    }
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

// While the configured user is not known, module code gets the rights of a user that owns nothing.
void become_nobody(Document& document) {
    document.user_is_known = false;
    try {
        give_up_rights("65534:65534", configured_environment(document));  // the kernel's overflow ids
    } catch (const std::system_error&) {
        throw ConfigError{Findings(document).take()};
    }
}

// A user that does not exist is a fault of the file. A step that the system refuses is not.
void give_up_configured_rights(Document& document) {
    const DocumentValue* const master = document.root.find("master");
    const DocumentValue* const user = master != nullptr ? master->find("user") : nullptr;
    if (user != nullptr && user->has_unread()) return become_nobody(document);
    try {
        give_up_rights(configured_user(document), configured_environment(document));
    } catch (const std::system_error&) {
        throw;
    } catch (const std::runtime_error& failure) {
        DROVER_CHECK(user != nullptr);  // without one nobody is looked up
        document.faults.push_back({user->place, std::string("master.user: ") + failure.what()});
        become_nobody(document);
    }
}

// Parsing needs whatever rights the master has to the file; modules get no more than `user` has.
CheckedConfiguration read_and_check(const ReaderInheritance& inheritance, Channel& channel) {
    Document document = read_toml(inheritance.config_path);
    const auto faults = inheritance.trial ? find_machine_faults(document) : std::vector<MachineFault>();
    send_rights(document, channel);
    give_up_configured_rights(document);
    std::vector<ModuleDeclaration> modules = declare_modules(inheritance.modules);
    load_libraries(document, modules, channel);
    std::optional<Image> running;
    if (inheritance.running_image_fd >= 0) running.emplace(Image::open(inheritance.running_image_fd));
    return check_document(document, modules, running ? &*running : nullptr, Machine::look(), faults);
}

ExitCode report(Channel& channel, const CheckedConfiguration& checked, int image_memory) {
    for (const std::string& finding : checked.findings)
        channel.send_text(MessageType::config_error, finding);
    if (!checked.findings.empty()) return checked.of_the_file ? ExitCode::config : ExitCode::refused;
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
