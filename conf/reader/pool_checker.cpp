#include "conf/reader/pool_checker.h"

#include "conf/options/option_checker.h"
#include "conf/options/value_text.h"
#include "conf/reader/master_files.h"
#include "conf/reader/unix_ids.h"
#include "conf/reader/variables.h"
#include "conf/settings.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace drover {

namespace {

const ImageValue* find_child(const ImageValue& table, std::string_view name) noexcept {
    const auto child = std::ranges::find(table.children, name, &ImageValue::name);
    return child == table.children.end() ? nullptr : &*child;
}

ImageValue& child_of(ImageValue& table, std::string_view name) {
    return *std::ranges::find(table.children, name, &ImageValue::name);
}

bool is_unix_path(std::string_view address) noexcept {
    for (const std::string_view kind : {"unix:", "unixgram:"})
        if (address.starts_with(kind)) return !address.substr(kind.size()).starts_with('@');
    return false;
}

std::vector<std::string> listed_texts(const ImageValue& pool, std::string_view name) {
    std::vector<std::string> texts;
    for (const ImageValue& child : find_child(pool, name)->children)
        texts.push_back(child.text);
    return texts;
}

}  // namespace

PoolChecker::PoolChecker(std::span<const ModuleDeclaration> modules, Findings& findings)
    : modules_(modules), findings_(findings) {
    for (const ModuleDeclaration& module : modules) {
        if (module.library.empty()) known_modules_.push_back(module.name);
    }
}

std::string PoolChecker::name_of(const std::string& module) const {
    for (const ModuleDeclaration& declaration : modules_) {
        if (!declaration.library.empty() && declaration.library == module) return declaration.name;
    }
    return module;
}

ImageValue PoolChecker::check(const DocumentValue& pool) {
    std::string path = "pool." + pool.name;
    if (!valid_pool_name(pool.name)) {
        path = "pool." + toml_string(cut_text(pool.name, 70));
        findings_.add(pool.key_place, path,
                      "not a pool's name; one has 1 to 63 of the characters a to z, 0 to 9, '_' and '-'");
    }
    if (!expect_kind(pool, DocumentKind::table, path, findings_)) return {};
    ImageValue checked = check_table(PoolSettings::options(), pool, path, findings_);
    checked.name = pool.name;
    check_hang_timeout(pool, checked, path);
    check_processors(pool, path);
    check_min_healthy(pool, checked, path);
    std::vector<std::string> modules = listed_texts(checked, "modules");
    std::ranges::transform(modules, modules.begin(), [this](const auto& module) { return name_of(module); });
    const DocumentValue* named = pool.find("modules");
    const bool has_unread = named != nullptr && named->has_unread();
    knows_all_modules_ = knows_all_modules_ && !has_unread;
    if (named != nullptr && named->children.size() == modules.size())
        check_modules(*named, path + ".modules");

    const DocumentValue* listen = pool.find("listen");
    ImageValue& listeners = child_of(checked, "listen");
    if (listen == nullptr || listen->kind != DocumentKind::list) return checked;
    if (listen->children.size() != listeners.children.size()) return checked;
    for (std::size_t index = 0; index < listeners.children.size(); ++index)
        check_listener(listen->children[index], listeners.children[index], has_unread ? nullptr : &modules,
                       path + ".listen[" + std::to_string(index) + "]");
    expand_names(*listen, listeners, path);
    return checked;
}

// A listener on localhost becomes two.
void PoolChecker::expand_names(const DocumentValue& named, ImageValue& listeners, const std::string& path) {
    std::vector<ImageValue> all;
    for (std::size_t index = 0; index < listeners.children.size(); ++index) {
        const ImageValue& listener = listeners.children[index];
        const DocumentValue* const address = named.children[index].find("address");
        const std::vector<std::string> places = listener_places(find_child(listener, "address")->text);
        for (const std::string& place : places) {
            all.push_back(listener);
            child_of(all.back(), "address").text = place;
            ImageValue& note = listener_notes_.children.emplace_back();
            const std::string key = path + ".listen[" + std::to_string(index) + "].address";
            note.children = {
                text_value("place",
                           address != nullptr ? master_file_place(findings_.document(), *address, key) : key),
                {.name = "one_of_several",
                 .type = ValueType::boolean,
                 .integer = &place != &places.front() ? 1 : 0}};
        }
    }
    listeners.children = std::move(all);
}

// A worker that reports in time must never look as if it hung.
void PoolChecker::check_hang_timeout(const DocumentValue& pool, const ImageValue& checked,
                                     const std::string& path) {
    const std::int64_t hang_ms = find_child(checked, "hang_timeout")->integer;
    const std::int64_t report_ms = find_child(checked, "report_interval")->integer;
    if (hang_ms == 0 || hang_ms > 2 * report_ms) return;
    const DocumentValue* named = pool.find("hang_timeout");
    const DocumentValue* const report = pool.find("report_interval");
    if ((named != nullptr && named->has_unread()) || (report != nullptr && report->has_unread())) return;
    if (named == nullptr) named = pool.find("report_interval");
    findings_.add(named != nullptr ? named->key_place : pool.key_place, path + ".hang_timeout",
                  "must be more than twice report_interval, which is " + std::to_string(report_ms) + "ms");
}

void PoolChecker::check_processors(const DocumentValue& pool, const std::string& path) {
    const DocumentValue* const named = pool.find("cpu_affinity");
    if (named == nullptr || named->kind != DocumentKind::text || named->text.empty()) return;
    if (named->text == "off" || named->text == "auto" || parse_processor_list(named->text)) return;
    findings_.add(named->place, path + ".cpu_affinity",
                  toml_string(cut_text(named->text, 60)) +
                      " is not a list of processors; write \"off\", \"auto\" or one like \"0-3,8\"");
}

// A pool that can never be healthy would be degraded for ever.
void PoolChecker::check_min_healthy(const DocumentValue& pool, const ImageValue& checked,
                                    const std::string& path) {
    const std::int64_t least = find_child(checked, "min_healthy")->integer;
    const std::int64_t workers = find_child(checked, "workers")->integer;
    if (workers == 0 || least <= workers) return;
    const DocumentValue* const named = pool.find("min_healthy");
    findings_.add(named != nullptr ? named->place : pool.key_place, path + ".min_healthy",
                  "must be at most workers, which is " + std::to_string(workers));
}

void PoolChecker::check_modules(const DocumentValue& modules, const std::string& path) {
    std::vector<std::string> seen;
    for (std::size_t index = 0; index < modules.children.size(); ++index) {
        const DocumentValue& entry = modules.children[index];
        if (entry.kind != DocumentKind::text) continue;
        const std::string element = path + "[" + std::to_string(index) + "]";
        const std::string name = name_of(entry.text);
        const bool known = std::ranges::find(modules_, name, &ModuleDeclaration::name) != modules_.end();
        if (!known)
            findings_.add_unknown(entry.place, element, "module", entry.text, known_modules_);
        else
            used_modules_.try_emplace(name, entry.place);
        if (std::ranges::find(seen, name) != seen.end())
            findings_.add(
                entry.place, element,
                "the module " + toml_string(cut_text(name, 60)) + " is named twice; once is enough");
        seen.push_back(name);
    }
}

void PoolChecker::check_address(const DocumentValue& address, const std::string& path) {
    for (const std::string& text : listener_places(address.text))
        check_place(text, address, path);
}

void PoolChecker::check_place(const std::string& text, const DocumentValue& address,
                              const std::string& path) {
    try {
        const Address parsed = Address::parse(text, findings_.document().directory);
        const bool chosen_by_kernel = !parsed.is_unix() && parsed.port() == 0;
        if (chosen_by_kernel) return;
        // Bound, it would need ipv6_only = false, and be the IPv4 address all the same.
        if (parsed.unmapped().family() != parsed.family()) {
            findings_.add(address.place, path,
                          "is an IPv4 address: write \"" + parsed.unmapped().text() + '"');
            return;
        }
        // A path in the file system is one name, whatever comes to it.
        const std::string name = parsed.is_unix_path() ? parsed.unix_path() : parsed.text();
        const auto [other, added] = addresses_.try_emplace(name, address.place);
        if (!added)
            findings_.add(address.place, path,
                          "a listener on " + parsed.text() + " stands already at " +
                              findings_.document().place_text(other->second) +
                              "; an address is listened on once");
    } catch (const std::invalid_argument& error) {
        findings_.add(address.place, path, error.what() + variable_hint(text));
    }
}

// Connections and datagrams: keys that say nothing to one of them, modules that take only one.
void PoolChecker::check_transport(const DocumentValue& listener, const std::string& path) {
    constexpr std::array stream_keys{"backlog",        "nodelay",        "defer_accept",
                                     "keepalive",      "keepalive_idle", "keepalive_interval",
                                     "keepalive_count"};
    constexpr std::array unix_keys{"unix_mode", "unix_owner", "unix_group"};
    constexpr std::array datagram_keys{"receive_buffer", "max_datagram"};
    const DocumentValue* const address = listener.find("address");
    if (address == nullptr || address->kind != DocumentKind::text || address->text.empty()) return;
    const bool datagrams = is_datagram_address(address->text);
    const bool udp = datagrams && address->text.starts_with("udp:");
    const auto refuse = [&](const char* key, const char* why) {
        if (const DocumentValue* const value = listener.find(key); value != nullptr)
            findings_.add(value->key_place, path + "." + key, why);
    };
    if (!is_unix_path(address->text)) {
        for (const char* const key : unix_keys) {
            const DocumentValue* const value = listener.find(key);
            const std::string& fallback = ListenSettings::options().find(key)->text.fallback;
            if (value != nullptr && (value->kind != DocumentKind::text || value->text != fallback))
                refuse(key, "is for addresses that are the path of a unix socket; leave it out");
        }
    }
    if (datagrams) {
        for (const char* const key : stream_keys)
            refuse(key, "means nothing to a listener for datagrams; leave it out");
        if (!udp) refuse("receive_buffer", "means nothing to a unix socket: its senders wait; leave it out");
        const DocumentValue* const balance = listener.find("balance");
        if (balance != nullptr && balance->text == "reuseport")
            findings_.add(
                balance->place, path + ".balance",
                "a listener for datagrams has one socket for all workers, so that no datagram waits for a "
                "worker that is gone; write \"shared\", or leave it out");
    } else {
        for (const char* const key : datagram_keys)
            refuse(key, "is for datagrams alone, as of \"udp:127.0.0.1:5353\"");
    }
    const DocumentValue* const module = listener.find("module");
    if (module != nullptr && module->kind == DocumentKind::text)
        check_module_takes(*module, datagrams, path + ".module");
}

void PoolChecker::check_module_takes(const DocumentValue& module, bool datagrams, const std::string& path) {
    const auto known = std::ranges::find(modules_, module.text, &ModuleDeclaration::name);
    if (known == modules_.end() || (datagrams ? known->takes_datagrams : known->takes_connections)) return;
    findings_.add(
        module.place, path,
        "the module " + toml_string(cut_text(module.text, 60)) +
            (datagrams ? " takes no datagrams, which are what such a listener has"
                       : " takes datagrams alone; its address begins with \"udp:\" or \"unixgram:\""));
}

// Names become numbers here.
void PoolChecker::look_up(const DocumentValue& name, ImageValue& checked, const std::string& path) {
    const UnixId kind = name.name == "unix_owner" ? UnixId::user : UnixId::group;
    const std::optional<std::string> found = find_unix_id(kind, name.text);
    if (!found)
        return findings_.add(name.place, path + "." + name.name,
                             std::string("there is no ") + (kind == UnixId::user ? "user " : "group ") +
                                 toml_string(cut_text(name.text, 60)) + "; a number needs no entry");
    child_of(checked, name.name).text = *found;
}

void PoolChecker::check_listener(const DocumentValue& listener, ImageValue& checked,
                                 const std::vector<std::string>* modules, const std::string& path) {
    const auto text_of = [&](std::string_view name) -> const DocumentValue* {
        const DocumentValue* value = listener.find(name);
        return value != nullptr && value->kind == DocumentKind::text ? value : nullptr;
    };
    if (const DocumentValue* address = text_of("address"); address != nullptr && !address->text.empty())
        check_address(*address, path + ".address");

    const DocumentValue* const module = text_of("module");
    if (module != nullptr && !module->text.empty() && modules != nullptr)
        if (std::ranges::find(*modules, module->text) == modules->end())
            findings_.add(module->place, path + ".module",
                          "the pool does not have the module " + toml_string(cut_text(module->text, 60)) +
                              (modules->empty() ? "; its list of modules is empty"
                                                : suggestion(module->text, *modules)));

    check_transport(listener, path);

    if (const DocumentValue* mode = text_of("unix_mode"); mode != nullptr && !parse_unix_mode(mode->text))
        findings_.add(
            mode->place, path + ".unix_mode",
            toml_string(cut_text(mode->text, 60)) + " is not a mode; write octal digits, such as \"0660\"");

    for (const char* const key : {"unix_owner", "unix_group"})
        if (const DocumentValue* name = text_of(key); name != nullptr) look_up(*name, checked, path);

    for (const ImageValue& value : checked.children)
        if (value.type == ValueType::duration && value.integer % 1000 != 0)
            findings_.add(listener.find(value.name)->place, path + "." + value.name,
                          duration_text(value.integer) +
                              " is not a whole number of seconds; the kernel counts in them");
}

}  // namespace drover
