#include "conf/reference.h"

#include "conf/option_checker.h"
#include "conf/settings.h"
#include "conf/value_text.h"

namespace drover {

namespace {

constexpr std::size_t line_width = 100;

void append_wrapped(std::string& out, std::string_view text, std::size_t indent) {
    std::size_t column = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (column > 0 && column + 1 + end > line_width) {
            out.push_back('\n');
            column = 0;
        }
        if (column == 0) {
            out.append(indent, ' ');
            column = indent;
        } else {
            out.push_back(' ');
            ++column;
        }
        out.append(text.substr(0, end));
        column += end;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (column > 0) out.push_back('\n');
}

const char* type_name(const OptionKey& key) noexcept {
    if (key.list) return "list of texts";
    switch (key.type) {
        case ValueType::boolean:
            return "true or false";
        case ValueType::integer:
            return "integer";
        case ValueType::duration:
            return "duration";
        case ValueType::size:
            return "size";
        case ValueType::text:
            return "text";
        case ValueType::list:
            return "list";
        case ValueType::table:
            return "table";
    }
    return "value";
}

const char* apply_text(Apply apply) noexcept {
    switch (apply) {
        case Apply::hot:
            return "hot";
        case Apply::fresh:
            return "fresh";
        case Apply::restart:
            return "restart";
    }
    return "restart";
}

std::string default_text(const OptionKey& key) {
    const ImageValue value = default_value(key);
    if (key.list) return "[" + quoted_list(key.default_items) + "]";
    if (key.type == ValueType::text || !value.text.empty()) return toml_string(value.text);
    return integer_text(key.type, value.integer, true);
}

void append_key(std::string& out, const OptionKey& key) {
    out.append("\n  ").append(key.name);
    out.append(is_required(key) ? " (required)" : " = " + default_text(key)).push_back('\n');
    std::string rule = type_name(key);
    const std::string bounds = key.type == ValueType::boolean || key.list ? "" : bounds_text(key);
    if (!key.choices.empty())
        rule = "one of " + quoted_list(key.choices);
    else if (key.type != ValueType::text && !bounds.empty())
        rule += ", " + bounds;
    else if (key.list)
        rule += ", at most " + std::to_string(key.max_items);
    append_wrapped(out, rule + "; " + apply_text(key.apply), 6);
    append_wrapped(out, key.help, 6);
}

void append_table(std::string& out, const OptionTable& options, const std::string& path, bool list,
                  const std::string& help) {
    out.append(list ? "\n[[" : "\n[").append(path).append(list ? "]]\n" : "]\n");
    append_wrapped(out, options.title(), 0);
    if (help != options.title()) append_wrapped(out, help, 0);
    for (const OptionKey& key : options.keys())
        if (key.type != ValueType::table) append_key(out, key);
    for (const OptionKey& key : options.keys()) {
        if (key.type != ValueType::table) continue;
        std::string note = key.help;
        if (key.list) note += " At most " + std::to_string(key.max_items) + ".";
        note += std::string(" Applied: ") + apply_text(key.apply) + ".";
        append_table(out, *key.table, path + "." + key.name, key.list, note);
    }
}

}  // namespace

std::string configuration_reference(std::span<const ModuleDeclaration> modules) {
    std::string out;
    append_wrapped(out, "The configuration is a TOML file. Every key is listed here with its default.", 0);
    out.push_back('\n');
    append_wrapped(out, "A duration is an integer and a unit: \"250ms\", \"30s\", \"5m\", \"2h\", \"1d\".",
                   2);
    append_wrapped(
        out, "A size is in bytes, or an integer and a unit of 1024: 4096, \"64K\", \"16M\", \"1G\".", 2);
    append_wrapped(out, "A relative path starts at the directory of the file.", 2);
    out.push_back('\n');
    append_wrapped(out, "What a reload does when the key changes:", 0);
    append_wrapped(out, "hot      running workers take it over", 2);
    append_wrapped(out, "fresh    new workers take the place of the old ones; no connection breaks", 2);
    append_wrapped(out, "restart  the reload is refused: it needs a new master", 2);

    append_table(out, MasterSettings::options(), "master", false, "");
    append_table(out, PoolSettings::options(), "pool.NAME", false, "");
    for (const ModuleDeclaration& module : modules)
        if (module.options != nullptr) append_table(out, *module.options, "module." + module.name, false, "");
    return out;
}

}  // namespace drover
