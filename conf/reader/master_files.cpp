#include "conf/reader/master_files.h"

#include "core/log/log_target.h"

namespace drover {

namespace {

struct Collection {
    const Document& document;
    const std::string& module;
    ImageValue& list;

    void add_table(const OptionTable& options, const DocumentValue& table, const std::string& path) const {
        for (const OptionKey& key : options.keys()) {
            const DocumentValue* const value = table.find(key.name);
            if (value == nullptr) continue;
            const std::string key_path = path + "." + key.name;
            if (!key.list) {
                add_value(key, *value, key_path);
                continue;
            }
            for (std::size_t index = 0; index < value->children.size(); ++index)
                add_value(key, value->children[index], key_path + "[" + std::to_string(index) + "]");
        }
    }

  private:
    void add_value(const OptionKey& key, const DocumentValue& value, const std::string& path) const {
        if (key.type == ValueType::table && value.kind == DocumentKind::table)
            return add_table(*key.table, value, path);
        if (!key.text.master_file || value.kind != DocumentKind::text || value.text.empty()) return;
        ImageValue& entry = list.children.emplace_back();
        entry.children = {text_value("path", value.text), text_value("module", module),
                          text_value("place", master_file_place(document, value, path))};
    }
};

}  // namespace

bool may_be_master_file(std::string_view key) noexcept {
    return key == "log" || key == "log_file" || key.ends_with("_log") || key.ends_with("_log_file");
}

std::string master_file_fault(std::string_view value) {
    if (value == "off") return ": write \"\" for none, or \"./off\" for a file of that name";
    const std::string fault = log_target_fault(value);
    return fault.empty() ? "" : ": " + fault;
}

std::string master_file_place(const Document& document, const DocumentValue& value, const std::string& path) {
    return document.place_text(value.place) + ": " + path;
}

void collect_master_files(const OptionTable& options, const DocumentValue& table, const Document& document,
                          const std::string& module, ImageValue& list) {
    Collection{document, module, list}.add_table(options, table, "module." + module);
}

}  // namespace drover
