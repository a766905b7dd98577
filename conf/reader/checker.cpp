#include "conf/reader/checker.h"

#include "conf/counters.h"
#include "conf/observer.h"
#include "conf/options/findings.h"
#include "conf/options/option_checker.h"
#include "conf/options/value_text.h"
#include "conf/reader/master_files.h"
#include "conf/reader/pool_checker.h"
#include "conf/settings.h"
#include "core/base/system_error.h"
#include "core/log/log_target.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <stdexcept>

#include <sys/un.h>

namespace drover {

namespace {

// The place of "route[2].path" below `value`, or of the nearest thing around it that the file mentions.
SourcePlace find_place(const DocumentValue* value, std::string_view path) {
    SourcePlace place;
    while (value != nullptr) {
        place = value->place;
        if (path.empty()) break;
        if (path.front() == '[') {
            std::size_t index = value->children.size();
            std::from_chars(path.data() + 1, path.data() + path.size(), index);
            path.remove_prefix(std::min(path.find(']'), path.size() - 1) + 1);
            const bool there = value->kind == DocumentKind::list && index < value->children.size();
            value = there ? &value->children[index] : nullptr;
        } else {
            const std::size_t end = std::min(path.find_first_of(".["), path.size());
            value = value->find(path.substr(0, end));
            path.remove_prefix(end);
        }
        if (path.starts_with('.')) path.remove_prefix(1);
    }
    return place;
}

class ModuleComplaints : public Complaints {
  public:
    ModuleComplaints(const DocumentValue& table, std::string path, Findings& findings)
        : table_(table), path_(std::move(path)), findings_(findings) {}

    void add(std::string_view path, std::string message) override {
        const std::string_view separator = path.empty() || path.front() == '[' ? "" : ".";
        findings_.add(find_place(&table_, path), path_ + std::string(separator) + std::string(path), message);
    }

  private:
    const DocumentValue& table_;
    std::string path_;
    Findings& findings_;
};

bool is_variable_name(std::string_view name) noexcept {
    const auto in_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    return !name.empty() && std::ranges::all_of(name, in_name);
}

class Check {
  public:
    Check(const Document& document, std::span<const ModuleDeclaration> modules, Machine machine)
        : document_(document),
          modules_(modules),
          machine_(std::move(machine)),
          findings_(document),
          pools_(modules, findings_) {}

    CheckedConfiguration run(const Image* running, std::span<const MachineFault> machine_faults);

  private:
    std::vector<std::string> module_names() const;
    const DocumentValue* section(const char* name);
    void check_root_keys();
    ImageValue check_master();
    void check_control_path(const DocumentValue* master);
    void check_log_target(const DocumentValue& master);
    void check_environment(const DocumentValue& master);
    void check_observer();
    ImageValue check_pools();
    void share_machine(ImageValue& pools);
    std::string auto_workers_text(const ImageValue& pools) const;
    ImageValue check_modules();
    ImageValue check_module(const ModuleDeclaration& module, const DocumentValue* table, SourcePlace user);
    void run_module_check(const ModuleDeclaration& module, const DocumentValue& table, ImageValue& checked);
    ImageValue list_libraries() const;
    ImageValue list_files();
    ImageValue collect_counters(const ImageValue& root);
    void add_counters(const ModuleDeclaration& module, const ImageValue& options, CounterList& list);
    void compare_with(const Image& running, CheckedConfiguration& result);
    void add_machine_faults(std::span<const MachineFault> faults, const ImageValue& files);

    const Document& document_;
    std::span<const ModuleDeclaration> modules_;
    Machine machine_;
    Findings findings_;
    PoolChecker pools_;
};

std::vector<std::string> Check::module_names() const {
    std::vector<std::string> names;
    for (const ModuleDeclaration& module : modules_)
        names.push_back(module.name);
    return names;
}

const DocumentValue* Check::section(const char* name) {
    const DocumentValue* value = document_.root.find(name);
    if (value == nullptr || !expect_kind(*value, DocumentKind::table, name, findings_)) return nullptr;
    return value;
}

void Check::check_root_keys() {
    static const std::vector<std::string> known{"master", "pool", "module", ObserverSettings::name,
                                                "include"};
    for (const DocumentValue& value : document_.root.children)
        if (std::ranges::find(known, value.name) == known.end())
            findings_.add_unknown(value.key_place, "", "key", value.name, known);
}

ImageValue Check::check_master() {
    const DocumentValue* table = section("master");
    ImageValue master = table == nullptr
                            ? default_table(MasterSettings::options())
                            : check_table(MasterSettings::options(), *table, "master", findings_);
    master.name = "master";
    check_control_path(table);
    if (table == nullptr) return master;
    check_log_target(*table);
    check_environment(*table);
    return master;
}

// The master listens there, and the command line looks for it there (unix(7)).
void Check::check_control_path(const DocumentValue* master) {
    const DocumentValue* const named = master != nullptr ? master->find("runtime_dir") : nullptr;
    if (named != nullptr && named->kind != DocumentKind::text) return;
    const std::string folder =
        named != nullptr ? named->text : std::string(MasterSettings::options().load({}).runtime_dir);
    const std::string path =
        (std::filesystem::path(document_.directory) / folder / "control.sock").lexically_normal().string();
    constexpr std::size_t longest = sizeof sockaddr_un{}.sun_path - 1;
    if (path.size() <= longest) return;
    findings_.add(named != nullptr ? named->place : SourcePlace{1, 1}, "master.runtime_dir",
                  "the path of the control socket would have " + std::to_string(path.size()) +
                      " bytes, and the kernel takes " + std::to_string(longest) +
                      "; write a shorter directory, such as \"/run/drover\"");
}

void Check::check_log_target(const DocumentValue& master) {
    const DocumentValue* const named = master.find("log_file");
    if (named == nullptr || named->kind != DocumentKind::text) return;
    const std::string fault = log_target_fault(absolute_log_target(named->text, document_.directory));
    if (!fault.empty()) findings_.add(named->place, "master.log_file", fault);
}

void Check::check_environment(const DocumentValue& master) {
    const DocumentValue* const list = master.find("environment");
    if (list == nullptr || list->kind != DocumentKind::list) return;
    std::vector<std::string_view> names;
    for (const DocumentValue& entry : list->children) {
        if (entry.kind != DocumentKind::text) continue;
        const std::string_view text = entry.text;
        const std::string_view name = text.substr(0, text.find('='));
        if (!is_variable_name(name)) {
            findings_.add(entry.place, "master.environment",
                          toml_string(name) + " is no name; write \"NAME\" or \"NAME=value\"");
        } else if (std::ranges::find(names, name) != names.end()) {
            findings_.add(entry.place, "master.environment", std::string(name) + " is there twice");
        }
        names.push_back(name);
    }
}

ImageValue Check::check_pools() {
    ImageValue pools{.name = "pool"};
    const DocumentValue* table = section("pool");
    if (table == nullptr || table->children.empty()) {
        if (document_.root.find("pool") == nullptr || table != nullptr)
            findings_.add(table == nullptr ? SourcePlace{1, 1} : table->place, "",
                          "no pool is configured; at least one is needed, such as [pool.main]");
        return pools;
    }
    if (table->children.size() > max_pools) {
        findings_.add(table->place, "pool",
                      std::to_string(table->children.size()) + " pools are too many; at most " +
                          std::to_string(max_pools) + " are allowed");
        return pools;
    }
    for (const DocumentValue& pool : table->children)
        pools.children.push_back(pools_.check(pool));
    share_machine(pools);
    return pools;
}

// Memory is shared by all workers, and their number may depend on the machine itself.
void Check::share_machine(ImageValue& pools) {
    machine_.workers = 0;
    for (ImageValue& pool : pools.children) {
        resolve_resources(PoolSettings::options(), pool, machine_);
        const auto number = [&pool](std::string_view key) {
            const auto found = std::ranges::find(pool.children, key, &ImageValue::name);
            return static_cast<std::uint64_t>(found == pool.children.end() ? 0 : found->integer);
        };
        machine_.workers += static_cast<unsigned>(number("workers"));
        const std::uint64_t descriptors = number("open_files_limit");
        if (descriptors > 0) machine_.descriptors = std::min(machine_.descriptors, descriptors);
    }
    for (ImageValue& pool : pools.children)
        resolve_resources(PoolSettings::options(), pool, machine_);
}

// What workers = "auto" means, and why; empty: no pool has it.
std::string Check::auto_workers_text(const ImageValue& pools) const {
    for (const ImageValue& pool : pools.children) {
        const auto workers = std::ranges::find(pool.children, "workers", &ImageValue::name);
        if (workers != pool.children.end() && workers->text == auto_word)
            return std::to_string(workers->integer) + ": " + machine_.processors_reason;
    }
    return "";
}

// It is in the image as the pool that it stands for.
void Check::check_observer() {
    const DocumentValue* const table = section(ObserverSettings::name);
    if (table == nullptr) return;
    static_cast<void>(check_table(ObserverSettings::options(), *table, ObserverSettings::name, findings_));
    const DocumentValue* const pools = document_.root.find("pool");
    const DocumentValue* const pool = pools == nullptr ? nullptr : pools->find(ObserverSettings::name);
    if (pool != nullptr && !is_observer_pool(document_, *pool))
        findings_.add(pool->key_place, std::string("pool.") + ObserverSettings::name,
                      "[observer] is a pool of this name; call this one otherwise");
}

void Check::run_module_check(const ModuleDeclaration& module, const DocumentValue& table,
                             ImageValue& checked) {
    if (!module.check) return;
    const std::string path = "module." + module.name;
    ModuleComplaints complaints(table, path, findings_);
    try {
        const std::vector<std::byte> bytes = build_image(checked);
        module.check(Image::view(bytes).root(), complaints);
    } catch (const std::exception& error) {
        if (is_shortage(error)) throw;
        findings_.add(table.place, path, error.what());
    } catch (...) {
        findings_.add(table.place, path, "the module's check ended with an unknown exception");
    }
}

ImageValue Check::check_module(const ModuleDeclaration& module, const DocumentValue* table,
                               SourcePlace user) {
    static const OptionTable no_options{""};
    const OptionTable& options = module.options == nullptr ? no_options : *module.options;
    DocumentValue absent;
    absent.place = user;  // what is missing is missed where a pool asks for the module
    const DocumentValue& source = table == nullptr ? absent : *table;
    const std::size_t before = findings_.of_the_file();
    ImageValue checked = check_table(options, source, "module." + module.name, findings_);
    checked.name = module.name;
    checked.is_default = table == nullptr;
    resolve_resources(options, checked, machine_);
    if (findings_.of_the_file() == before && !source.has_unread()) run_module_check(module, source, checked);
    return checked;
}

ImageValue Check::check_modules() {
    ImageValue result{.name = "module"};
    const DocumentValue empty;
    const DocumentValue* found = section("module");
    const DocumentValue& tables = found == nullptr ? empty : *found;
    const std::vector<std::string> names = module_names();
    for (const DocumentValue& table : tables.children)
        if (pools_.knows_all_modules() && std::ranges::find(names, table.name) == names.end())
            findings_.add_unknown(table.key_place, "module", "module", table.name, names);
    for (const ModuleDeclaration& module : modules_) {
        const DocumentValue* table = tables.find(module.name);
        const auto user = pools_.used_modules().find(module.name);
        const bool used = user != pools_.used_modules().end();
        if (table != nullptr && !expect_kind(*table, DocumentKind::table, "module." + module.name, findings_))
            continue;
        if (table == nullptr && !used) continue;
        ImageValue checked = check_module(module, table, used ? user->second : SourcePlace{});
        if (used) result.children.push_back(std::move(checked));
    }
    return result;
}

void Check::add_counters(const ModuleDeclaration& module, const ImageValue& options, CounterList& list) {
    const std::string owner = "module." + module.name;
    if (!module.counters_of) return list.add(owner, module.counters);
    try {
        const std::vector<std::byte> bytes = build_image(options);
        list.add(owner, module.counters_of(Image::view(bytes).root()));
    } catch (const std::exception& error) {
        if (is_shortage(error)) throw;
        findings_.add({}, owner, std::string("its counters: ") + error.what());
    }
}

// Another build of a library is a change like any other.
ImageValue Check::list_libraries() const {
    ImageValue list{.name = "libraries", .type = ValueType::list};
    for (const ModuleDeclaration& module : modules_) {
        if (module.library.empty()) continue;
        ImageValue& entry = list.children.emplace_back();
        entry.children = {text_value("path", module.library), text_value("module", module.name),
                          text_value("build", module.library_build)};
    }
    return list;
}

// What the master is to open for the modules that run.
ImageValue Check::list_files() {
    ImageValue list{.name = "files", .type = ValueType::list};
    const DocumentValue* const tables = document_.root.find("module");
    for (const ModuleDeclaration& module : modules_) {
        const DocumentValue* const table = tables != nullptr ? tables->find(module.name) : nullptr;
        const bool used = pools_.used_modules().contains(module.name);
        if (used && table != nullptr && module.options != nullptr)
            collect_master_files(*module.options, *table, document_, module.name, list);
    }
    if (list.children.size() > max_files)
        findings_.add({}, "module", "more than " + std::to_string(max_files) + " files are to be opened");
    return list;
}

// Of checked options alone: there must be no finding before.
ImageValue Check::collect_counters(const ImageValue& root) {
    const auto child = [](const ImageValue& table, std::string_view name) {
        return std::ranges::find(table.children, name, &ImageValue::name);
    };
    const ImageValue& modules = *child(root, "module");
    std::vector<ListenerName> listeners;
    for (const ImageValue& pool : child(root, "pool")->children) {
        for (const ImageValue& listen : child(pool, "listen")->children)
            listeners.push_back({pool.name, child(listen, "address")->text});
    }
    CounterList list(
        static_cast<std::uint64_t>(child(*child(root, "master"), "counters")->integer),
        [this](const std::string& owner, const std::string& fault) { findings_.add({}, owner, fault); });
    list.add("core", core_counters(listeners));
    for (const ModuleDeclaration& module : modules_) {
        const auto options = child(modules, module.name);
        if (options != modules.children.end()) add_counters(module, *options, list);
    }
    return list.take();
}

void Check::compare_with(const Image& running, CheckedConfiguration& result) {
    result.difference = compare(running, Image::view(result.image));
    for (const std::string& key : result.difference.restart_keys) {
        std::string change;
        for (const std::string& line : result.difference.lines)
            if (line.starts_with(key + ": ")) change = " (" + line.substr(key.size() + 2) + ")";
        findings_.add(
            find_place(&document_.root, key), key,
            "a reload cannot change it" + change + "; set it back, or stop the master and start it again");
    }
}

void Check::add_machine_faults(std::span<const MachineFault> faults, const ImageValue& files) {
    const auto is_log = [&](const MachineFault& fault) {
        const std::string place = document_.place_text(fault.place) + ": " + fault.key;
        return std::ranges::any_of(
            files.children, [&](const ImageValue& file) { return file.children.back().text == place; });
    };
    for (const MachineFault& fault : faults)
        if (fault.subject == MachineFault::Subject::service || is_log(fault))
            findings_.add(fault.place, fault.key, fault.text);
}

CheckedConfiguration Check::run(const Image* running, std::span<const MachineFault> machine_faults) {
    CheckedConfiguration result;
    result.difference.change = Change::fresh;
    check_root_keys();
    ImageValue root;
    root.children.push_back(text_value("source", document_.path));
    root.children.push_back(text_value("directory", document_.directory));
    root.children.push_back(check_master());
    check_observer();
    root.children.push_back(check_pools());
    const std::string auto_workers = auto_workers_text(root.children.back());
    root.children.push_back(text_value("auto_workers", auto_workers));
    root.children.push_back(pools_.take_listener_notes());
    root.children.push_back(check_modules());
    root.children.push_back(list_libraries());
    ImageValue files = list_files();
    root.children.push_back(files);
    if (findings_.count() == 0) root.children.push_back(collect_counters(root));
    if (findings_.count() == 0) {
        try {
            result.image = build_image(root);
            if (running != nullptr) compare_with(*running, result);
        } catch (const std::length_error& error) {
            findings_.add({}, "", error.what());
        }
    }
    result.of_the_file = findings_.of_the_file() > 0;
    add_machine_faults(machine_faults, files);
    result.findings = findings_.take();
    if (!result.findings.empty()) result.image.clear();
    return result;
}

}  // namespace

CheckedConfiguration check_document(const Document& document, std::span<const ModuleDeclaration> modules,
                                    const Image* running, Machine machine,
                                    std::span<const MachineFault> machine_faults) {
    return Check(document, modules, std::move(machine)).run(running, machine_faults);
}

std::string configured_user(const Document& document) {
    const DocumentValue* master = document.root.find("master");
    const DocumentValue* user = master == nullptr ? nullptr : master->find("user");
    return user == nullptr || user->kind != DocumentKind::text ? "" : user->text;
}

std::vector<std::string> configured_environment(const Document& document) {
    const DocumentValue* const master = document.root.find("master");
    const DocumentValue* const list = master == nullptr ? nullptr : master->find("environment");
    std::vector<std::string> entries;
    if (list == nullptr || list->kind != DocumentKind::list) return entries;
    for (const DocumentValue& entry : list->children)
        if (entry.kind == DocumentKind::text && is_variable_name(entry.text.substr(0, entry.text.find('='))))
            entries.push_back(entry.text);
    return entries;
}

}  // namespace drover
