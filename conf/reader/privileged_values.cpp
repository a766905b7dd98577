#include "conf/reader/privileged_values.h"

#include "conf/reader/checker.h"
#include "conf/reader/master_files.h"
#include "conf/reader/unix_ids.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>

namespace drover {

namespace {

// Ends the values; files follow.
constexpr const char* end = "end\n";

// The length makes two different lists of values two different texts.
void append(std::string& text, std::string_view name, std::string_view value) {
    text.append(name).append(" ").append(std::to_string(value.size())).append(" ").append(value).append("\n");
}

const DocumentValue* find_text(const DocumentValue* table, std::string_view name) noexcept {
    const DocumentValue* const value = table != nullptr ? table->find(name) : nullptr;
    return value != nullptr && value->kind == DocumentKind::text ? value : nullptr;
}

void append_text(std::string& text, const DocumentValue* table, std::string_view name,
                 std::string_view fallback) {
    const DocumentValue* const value = find_text(table, name);
    append(text, name, value != nullptr ? std::string_view(value->text) : fallback);
}

// Whose the path of a unix socket becomes.
void append_path_rights(std::string& text, const DocumentValue& listener) {
    const ListenSettings defaults = ListenSettings::options().load({});
    append_text(text, &listener, "unix_mode", defaults.unix_mode);
    const auto append_id = [&](UnixId kind, const char* key) {
        const DocumentValue* const name = find_text(&listener, key);
        append(text, key, name != nullptr ? find_unix_id(kind, name->text).value_or(name->text) : "");
    };
    append_id(UnixId::user, "unix_owner");
    append_id(UnixId::group, "unix_group");
}

std::string file_entry(std::string_view module, std::string_view place, std::string_view file) {
    std::string text;
    append(text, "module", module);
    append(text, "place", place);
    append(text, "file", file);
    return text;
}

// The texts of one module's tables that may be such files.
struct FileCollection {
    const Document& document;
    std::string_view module;
    std::string& text;

    void add_table(const DocumentValue& table, const std::string& path) const {
        for (const DocumentValue& value : table.children) {
            const std::string value_path = path + "." + value.name;
            add_value(value, value.name, value_path);
            if (value.kind != DocumentKind::list) continue;
            for (std::size_t index = 0; index < value.children.size(); ++index)
                add_value(value.children[index], {}, value_path + "[" + std::to_string(index) + "]");
        }
    }

  private:
    void add_value(const DocumentValue& value, std::string_view name, const std::string& path) const {
        if (value.kind == DocumentKind::table) return add_table(value, path);
        if (value.kind != DocumentKind::text || value.text.empty() || !may_be_master_file(name)) return;
        text += file_entry(module, master_file_place(document, value, path), value.text);
    }
};

// Takes what append() has made; none: the text is not of its making.
std::optional<std::string_view> take(std::string_view& text, std::string_view name) {
    if (!text.starts_with(name)) return {};
    text.remove_prefix(name.size());
    std::size_t size = 0;
    if (!text.starts_with(' ')) return {};
    const auto [rest, error] = std::from_chars(text.data() + 1, text.data() + text.size(), size);
    if (error != std::errc()) return {};
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    if (!text.starts_with(' ') || text.size() < 2 || size > text.size() - 2 || text[size + 1] != '\n')
        return {};
    const std::string_view value = text.substr(1, size);
    text.remove_prefix(size + 2);
    return value;
}

// None when any of it is no entry.
std::optional<std::set<std::string>> parse_files(std::string_view text) {
    std::set<std::string> entries;
    while (!text.empty()) {
        const auto module = take(text, "module");
        const auto place = take(text, "place");
        const auto file = take(text, "file");
        if (!module || !place || !file) return {};
        entries.insert(file_entry(*module, *place, *file));
    }
    return entries;
}

}  // namespace

std::string privileged_values(const Document& document) {
    std::string text;
    append(text, "directory", document.directory);
    const DocumentValue* const master = document.root.find("master");
    const MasterSettings defaults = MasterSettings::options().load({});
    append_text(text, master, "user", defaults.user);
    for (const std::string& entry : configured_environment(document))
        append(text, "environment", entry);
    append_text(text, master, "log_file", defaults.log_file);
    append_text(text, master, "runtime_dir", defaults.runtime_dir);
    const DocumentValue* const pools = document.root.find("pool");
    if (pools == nullptr) return text + end;
    for (const DocumentValue& pool : pools->children) {
        append(text, "pool", pool.name);
        const DocumentValue* const listeners = pool.find("listen");
        if (listeners == nullptr) continue;
        for (const DocumentValue& listener : listeners->children) {
            const DocumentValue* const address = find_text(&listener, "address");
            for (const std::string& place : listener_places(address != nullptr ? address->text : "")) {
                append(text, "address", place);
                append_path_rights(text, listener);
            }
        }
    }
    return text + end;
}

std::string privileged_files(const Document& document) {
    std::string text;
    const DocumentValue* const modules = document.root.find("module");
    if (modules == nullptr || modules->kind != DocumentKind::table) return text;
    for (const DocumentValue& module : modules->children) {
        if (module.kind == DocumentKind::table)
            FileCollection{document, module.name, text}.add_table(module, "module." + module.name);
    }
    return text;
}

bool allows(std::string_view rights, const Settings& settings) {
    const std::string expected = privileged_values(settings);
    if (!rights.starts_with(expected)) return false;
    const auto files = parse_files(rights.substr(expected.size()));
    return files && std::ranges::all_of(settings.files, [&files](const FileSettings& file) {
               return files->contains(file_entry(file.module, file.place, file.text));
           });
}

std::string privileged_values(const Settings& settings) {
    std::string text;
    append(text, "directory", settings.directory);
    append(text, "user", settings.master.user);
    for (const std::string_view entry : settings.master.environment)
        append(text, "environment", entry);
    append(text, "log_file", settings.master.log_file);
    append(text, "runtime_dir", settings.master.runtime_dir);
    for (const PoolSettings& pool : settings.pools) {
        append(text, "pool", pool.name);
        for (const ListenSettings& listener : pool.listen) {
            append(text, "address", listener.address_text);
            append(text, "unix_mode", listener.unix_mode);
            append(text, "unix_owner", listener.unix_owner);
            append(text, "unix_group", listener.unix_group);
        }
    }
    return text + end;
}

}  // namespace drover
