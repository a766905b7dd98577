#include "conf/privileged_values.h"

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
