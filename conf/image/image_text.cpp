// An image as TOML and as JSON.
#include "conf/options/reference.h"
#include "conf/options/value_text.h"
#include "core/base/json_writer.h"

namespace drover {

namespace {

bool has_section(const ImageNode& node) noexcept {
    return node.type() == ValueType::table || is_list_of_tables(node);
}

bool is_bare_key(std::string_view name) noexcept {
    for (const char letter : name)
        if (!(letter >= 'a' && letter <= 'z') && !(letter >= 'A' && letter <= 'Z') &&
            !(letter >= '0' && letter <= '9') && letter != '_' && letter != '-')
            return false;
    return !name.empty();
}

std::string key_text(std::string_view name) {
    return is_bare_key(name) ? std::string(name) : toml_string(name);
}

// "auto" and shares, not words such as "off".
bool stands_for_number(const ImageNode& node) noexcept {
    return node.type() != ValueType::text && !node.text().empty() && node.integer() != 0;
}

void collect_automatic(const ImageNode& node, const std::string& path, std::vector<std::string>& values) {
    if (stands_for_number(node))
        values.push_back(path + " " + integer_text(node.type(), node.integer(), false));
    for (std::uint32_t index = 0; index < node.size(); ++index) {
        const ImageNode child = node.child(index);
        const bool in_list = node.type() == ValueType::list;
        collect_automatic(child,
                          in_list ? path + "[" + std::to_string(index) + "]"
                                  : path + (path.empty() ? "" : ".") + std::string(child.name()),
                          values);
    }
}

// Within a table that stands at its default as a whole even the header is a comment.
void append_table(std::string& out, const ImageNode& table, const std::string& path, bool absent) {
    for (std::uint32_t index = 0; index < table.size(); ++index) {
        const ImageNode child = table.child(index);
        if (has_section(child)) continue;
        if (absent || child.is_default()) out.append("# ");
        out.append(key_text(child.name())).append(" = ").append(value_text(child, true));
        if (stands_for_number(child))
            out.append("  # ").append(integer_text(child.type(), child.integer(), false));
        out.push_back('\n');
    }
    for (std::uint32_t index = 0; index < table.size(); ++index) {
        const ImageNode child = table.child(index);
        if (!has_section(child)) continue;
        const bool child_absent = absent || child.is_default();
        const bool list = child.type() == ValueType::list;
        const std::string child_path = path + "." + key_text(child.name());
        const std::string header = (list ? "[[" : "[") + child_path + (list ? "]]" : "]");
        for (std::uint32_t element = 0; element < (list ? child.size() : 1); ++element) {
            out.append(child_absent ? "\n# " : "\n").append(header).push_back('\n');
            append_table(out, list ? child.child(element) : child, child_path, child_absent);
        }
    }
}

void append_section(std::string& out, const ImageNode& table, const std::string& path) {
    out.append(table.is_default() ? "\n# [" : "\n[").append(path).append("]\n");
    append_table(out, table, path, table.is_default());
}

void write_node(JsonWriter& json, const ImageNode& node) {
    switch (node.type()) {
        case ValueType::boolean:
            json.value(node.boolean());
            break;
        case ValueType::integer:
        case ValueType::size:
            if (node.text().empty())
                json.value(node.integer());
            else
                json.value(node.text());
            break;
        case ValueType::duration:
            json.value(value_text(node, false));
            break;
        case ValueType::text:
            json.value(std::string_view(shown_text(node)));
            break;
        case ValueType::list:
            json.begin_array();
            for (std::uint32_t index = 0; index < node.size(); ++index)
                write_node(json, node.child(index));
            json.end_array();
            break;
        case ValueType::table:
            json.begin_object();
            for (std::uint32_t index = 0; index < node.size(); ++index) {
                json.key(node.child(index).name());
                write_node(json, node.child(index));
            }
            json.end_object();
            break;
    }
}

}  // namespace

std::string to_toml(const Image& image) {
    const ImageNode root = image.root();
    std::string out = "# The configuration of " + toml_string(root.find("source").text()) +
                      ". What stands behind '#' is a default.\n";
    if (const ImageNode master = root.find("master")) append_section(out, master, "master");
    for (const char* group : {"pool", "module"}) {
        const ImageNode tables = root.find(group);
        for (std::uint32_t index = 0; index < tables.size(); ++index)
            append_section(out, tables.child(index),
                           std::string(group) + "." + key_text(tables.child(index).name()));
    }
    return out;
}

std::vector<std::string> automatic_values(const Image& image) {
    std::vector<std::string> values;
    for (const char* const group : {"pool", "module"})
        collect_automatic(image.root().find(group), group, values);
    return values;
}

std::string to_json(const Image& image) {
    JsonWriter json(2);
    write_node(json, image.root());
    return json.take() + "\n";
}

}  // namespace drover
