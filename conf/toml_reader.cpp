#include "conf/toml_reader.h"

#include "conf/config_text.h"
#include "conf/observer.h"
#include "conf/settings.h"

#include <algorithm>
#include <filesystem>

#include <toml++/toml.h>

namespace drover {

namespace {

SourcePlace place_of(const toml::source_region& region) noexcept {
    return {region.begin.line, region.begin.column};
}

DocumentValue convert(const toml::node& node);

std::vector<DocumentValue> convert_table(const toml::table& table) {
    std::vector<DocumentValue> children;
    for (auto&& [key, node] : table) {
        DocumentValue& child = children.emplace_back(convert(node));
        child.name = key.str();
        child.key_place = place_of(key.source());
        // toml++ gives a headed table the place of its bracket: the name says more.
        if (child.kind == DocumentKind::table && !node.as_table()->is_inline()) child.place = child.key_place;
    }
    // toml++ sorts by name; people expect the file's order.
    std::ranges::stable_sort(children, [](const DocumentValue& left, const DocumentValue& right) {
        return std::pair(left.key_place.line, left.key_place.column) <
               std::pair(right.key_place.line, right.key_place.column);
    });
    return children;
}

DocumentValue convert(const toml::node& node) {
    DocumentValue value;
    value.place = place_of(node.source());
    if (const auto* table = node.as_table()) {
        value.kind = DocumentKind::table;
        value.children = convert_table(*table);
    } else if (const auto* list = node.as_array()) {
        value.kind = DocumentKind::list;
        for (const toml::node& element : *list)
            value.children.push_back(convert(element));
    } else if (const auto* text = node.as_string()) {
        value.kind = DocumentKind::text;
        value.text = text->get();
    } else if (const auto* integer = node.as_integer()) {
        value.kind = DocumentKind::integer;
        value.integer = integer->get();
    } else if (const auto* number = node.as_floating_point()) {
        value.kind = DocumentKind::number;
        value.number = number->get();
    } else if (const auto* boolean = node.as_boolean()) {
        value.kind = DocumentKind::boolean;
        value.boolean = boolean->get();
    } else {
        value.kind = DocumentKind::date;
    }
    return value;
}

// "Error while parsing key: unexpected x" to "unexpected x (in the key)".
std::string describe(std::string_view description) {
    constexpr std::string_view prefix = "Error while parsing ";
    const std::size_t colon = description.find(": ");
    if (!description.starts_with(prefix) || colon == std::string_view::npos) return std::string(description);
    return std::string(description.substr(colon + 2)) + " (in the " +
           std::string(description.substr(prefix.size(), colon - prefix.size())) + ")";
}

std::string directory_of(const std::string& path) {
    return std::filesystem::path(path).parent_path().string();
}

std::string join_path(const std::string& directory, const std::string& path) {
    return (std::filesystem::path(directory) / path).lexically_normal().string();
}

}  // namespace

Document parse_toml(std::string_view text, const std::string& path) {
    Document document;
    document.path = absolute_config_path(path);
    document.directory = directory_of(document.path);
    check_config_text(text, document.path);
    try {
        document.root = convert(toml::parse(text, std::string_view(document.path)));
    } catch (const toml::parse_error& error) {
        throw ConfigError{
            {document.place_text(place_of(error.source())) + ": " + describe(error.description())}};
    }
    add_observer_pool(document);
    return document;
}

Document read_toml(const std::string& path) {
    const std::string absolute = absolute_config_path(path);
    return parse_toml(load_config_text(absolute), absolute);
}

std::string find_runtime_dir(const std::string& path) {
    const std::string absolute = absolute_config_path(path);
    const std::string text = load_config_text(absolute);
    std::string found;
    try {
        const Document document = parse_toml(text, absolute);
        const DocumentValue* master = document.root.find("master");
        const DocumentValue* value = master == nullptr ? nullptr : master->find("runtime_dir");
        if (value != nullptr) found = value->text;
    } catch (const ConfigError&) {
        found = scan_runtime_dir(text);
    }
    if (found.empty()) found = MasterSettings::options().find("runtime_dir")->text.fallback;
    return join_path(directory_of(absolute), found);
}

}  // namespace drover
