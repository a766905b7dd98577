#include "conf/privileged_values.h"

#include <algorithm>
#include <string_view>

namespace drover {

namespace {

// Nothing can be added to a text that was sent already.
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

// One line: no entry can be forged within another.
bool may_be_file(std::string_view text) noexcept {
    constexpr std::size_t longest = 4096;
    return !text.empty() && text.size() <= longest && text.find('\n') == std::string_view::npos;
}

void append_texts(std::string& text, const DocumentValue& value) {
    if (value.kind == DocumentKind::text && may_be_file(value.text)) append(text, "text", value.text);
    for (const DocumentValue& child : value.children)
        append_texts(text, child);
}

}  // namespace

std::string privileged_values(const Document& document) {
    std::string text;
    const DocumentValue* const master = document.root.find("master");
    const MasterSettings defaults = MasterSettings::options().load({});
    append_text(text, master, "user", defaults.user);
    append_text(text, master, "log_file", defaults.log_file);
    append_text(text, master, "runtime_dir", defaults.runtime_dir);
    const DocumentValue* const pools = document.root.find("pool");
    if (pools == nullptr) return text + end;
    for (const DocumentValue& pool : pools->children) {
        append(text, "pool", pool.name);
        const DocumentValue* const listeners = pool.find("listen");
        if (listeners == nullptr) continue;
        for (const DocumentValue& listener : listeners->children)
            append_text(text, &listener, "address", "");
    }
    return text + end;
}

std::string module_texts(const Document& document) {
    std::string text;
    if (const DocumentValue* const modules = document.root.find("module")) append_texts(text, *modules);
    return text;
}

bool allows(std::string_view rights, const Settings& settings) {
    const std::string expected = privileged_values(settings);
    if (!rights.starts_with(expected)) return false;
    const std::string_view texts = rights.substr(expected.size() - 1);  // with a line's end in front
    return std::ranges::all_of(settings.files, [texts](const FileSettings& file) {
        std::string entry = "\n";
        append(entry, "text", file.text);
        return may_be_file(file.text) && texts.find(entry) != std::string_view::npos;
    });
}

std::string privileged_values(const Settings& settings) {
    std::string text;
    append(text, "user", settings.master.user);
    append(text, "log_file", settings.master.log_file);
    append(text, "runtime_dir", settings.master.runtime_dir);
    for (const PoolSettings& pool : settings.pools) {
        append(text, "pool", pool.name);
        for (const ListenSettings& listener : pool.listen)
            append(text, "address", listener.address_text);
    }
    return text + end;
}

}  // namespace drover
