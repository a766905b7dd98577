#include "conf/reader/toml_reader.h"

#include "conf/observer.h"
#include "conf/options/findings.h"
#include "conf/options/value_text.h"
#include "conf/reader/config_text.h"
#include "conf/reader/include_files.h"
#include "conf/reader/variables.h"
#include "conf/settings.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <toml++/toml.h>
#include <unistd.h>

namespace drover {

namespace {

// `file`: its number in Document::files.
SourcePlace place_of(const toml::source_region& region, std::uint32_t file) noexcept {
    return {region.begin.line, region.begin.column, file};
}

DocumentValue convert(const toml::node& node, std::uint32_t file);

std::vector<DocumentValue> convert_table(const toml::table& table, std::uint32_t file) {
    std::vector<DocumentValue> children;
    for (auto&& [key, node] : table) {
        DocumentValue& child = children.emplace_back(convert(node, file));
        child.name = key.str();
        child.key_place = place_of(key.source(), file);
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

DocumentValue convert(const toml::node& node, std::uint32_t file) {
    DocumentValue value;
    value.place = place_of(node.source(), file);
    if (const auto* table = node.as_table()) {
        value.kind = DocumentKind::table;
        value.children = convert_table(*table, file);
    } else if (const auto* list = node.as_array()) {
        value.kind = DocumentKind::list;
        for (const toml::node& element : *list)
            value.children.push_back(convert(element, file));
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

// What to do about the mistakes that people make most; empty: the parser's words say it.
std::string_view advice(std::string_view description, bool at_line_end) {
    const auto says = [description](std::string_view part) {
        return description.find(part) != std::string_view::npos;
    };
    if (at_line_end && says("control characters other than TAB"))
        return "; the closing quote is missing: a text ends on its line, unless it stands between three "
               "quotes";
    if (says("end-of-file (in the string)") || says("end-of-file (in the literal string)"))
        return "; the closing quotes are missing";
    for (const char* const part : {"(in the value)", "(in the decimal integer)", "(in the boolean)",
                                   "(in the time)", "(in the date)", "(in the floating-point)"})
        if (says(part)) return "; a text, and a duration, size or address, stands in quotes: \"30s\"";
    return "";
}

// "Error while parsing key: unexpected x" to "unexpected x (in the key)", and advice.
std::string describe(std::string_view description, bool at_line_end) {
    constexpr std::string_view prefix = "Error while parsing ";
    const std::size_t colon = description.find(": ");
    std::string text(description);
    if (description.starts_with(prefix) && colon != std::string_view::npos)
        text = std::string(description.substr(colon + 2)) + " (in the " +
               std::string(description.substr(prefix.size(), colon - prefix.size())) + ")";
    return text.append(advice(text, at_line_end));
}

// Columns count characters.
bool is_line_end(std::string_view text, SourcePlace place) noexcept {
    for (; place.line > 1 && !text.empty(); --place.line)
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    for (const char letter : text.substr(0, text.find('\n')))
        if ((static_cast<unsigned char>(letter) & 0xc0) != 0x80 && letter != '\r' && --place.column == 0)
            return false;
    return true;
}

std::string directory_of(const std::string& path) {
    return std::filesystem::path(path).parent_path().string();
}

std::string join_path(const std::string& directory, const std::string& path) {
    return (std::filesystem::path(directory) / path).lexically_normal().string();
}

// Puts a document together from a file and those that it includes.
class Assembly {
  public:
    enum class Variables : std::uint8_t { expand, keep };  // keep: values stay as they are written

    Assembly(const std::string& path, Variables variables) : variables_(variables) {
        document_.path = absolute_config_path(path);
        document_.directory = directory_of(document_.path);
    }

    // `file` is absolute. Throws ConfigError when it is not TOML; what is wrong with files that it includes
    // is kept.
    void add(const std::string& file, std::string_view text) {
        const auto number = static_cast<std::uint32_t>(document_.files.size());
        document_.files.push_back(file);
        size_ += text.size();
        DocumentValue root = parse(text, number);
        const DocumentValue include = take_include(root);
        if (variables_ == Variables::expand)
            expand_variables(root, room_,
                             [this](SourcePlace place, const std::string& fault) { note(place, fault); });
        merge_tables(document_.root, std::move(root),
                     [this](const DocumentValue& first, const DocumentValue& second, const std::string& key) {
                         note(second.key_place, key + ": stands already at " +
                                                    document_.place_text(first.key_place) +
                                                    "; a key is given a value once");
                     });
        add_included(include, directory_of(file));
    }

    const Document& document() const noexcept { return document_; }
    // Of files that are not TOML.
    const std::vector<std::string>& unparsed() const noexcept { return unparsed_; }
    // Throws ConfigError when a part of it is missing: what is wrong with the rest could follow from that.
    Document take() {
        if (!is_whole_) throw ConfigError{std::move(findings_)};
        add_observer_pool(document_);
        return std::move(document_);
    }

  private:
    DocumentValue parse(std::string_view text, std::uint32_t number) {
        unparsed_.emplace_back(text);
        check_config_text(text, document_.files[number]);
        try {
            DocumentValue root =
                convert(toml::parse(text, std::string_view(document_.files[number])), number);
            unparsed_.pop_back();
            return root;
        } catch (const toml::parse_error& error) {
            const SourcePlace place = place_of(error.source(), number);
            throw ConfigError{{document_.place_text(place) + ": " +
                               describe(error.description(), is_line_end(text, place))}};
        }
    }

    // Of a single value.
    void note(SourcePlace place, const std::string& fault) {
        if (findings_.size() >= max_findings) return;
        findings_.push_back(document_.place_text(place) + ": " + fault);
        document_.faults.push_back({place, fault});
    }
    // Of a file that should have been included.
    void refuse(SourcePlace place, const std::string& fault) {
        is_whole_ = false;
        if (findings_.size() < max_findings) findings_.push_back(document_.place_text(place) + ": " + fault);
    }

    static DocumentValue take_include(DocumentValue& root) {
        const auto found = std::ranges::find(root.children, "include", &DocumentValue::name);
        DocumentValue include;
        include.kind = DocumentKind::list;
        if (found == root.children.end()) return include;
        include = std::move(*found);
        root.children.erase(found);
        return include;
    }

    void add_included(const DocumentValue& include, const std::string& directory) {
        if (include.kind != DocumentKind::list)
            return refuse(include.place, std::string("include: expected a list of texts, not ") +
                                             to_text(include.kind) + "; write include = [\"conf.d/*.toml\"]");
        for (const DocumentValue& pattern : include.children) {
            if (pattern.kind != DocumentKind::text) {
                refuse(pattern.place, std::string("include: expected a text, not ") + to_text(pattern.kind));
                continue;
            }
            try {
                for (const std::string& file : find_included(expand_variables(pattern.text), directory))
                    add_file(file, pattern.place);
            } catch (const std::invalid_argument& fault) {
                refuse(pattern.place, "include: " + toml_string(pattern.text) + ": " + fault.what());
            }
        }
    }

    void add_file(const std::string& file, SourcePlace place) {
        if (std::ranges::find(document_.files, file) != document_.files.end())
            return refuse(place, "include: " + file + " is read already; a file is included once");
        if (document_.files.size() > max_config_files)
            return refuse(place, "include: more than " + std::to_string(max_config_files) + " files");
        if (::access(file.c_str(), F_OK) != 0 && errno == ENOENT)
            return refuse(place, "include: " + file +
                                     ": there is no such file; a pattern like \"conf.d/*.toml\" "
                                     "may mean none");
        try {
            const std::string text = load_config_text(file);
            if (size_ + text.size() > max_config_bytes)
                return refuse(place, "include: with " + file + " the files have more than " +
                                         size_text(static_cast<std::int64_t>(max_config_bytes)));
            add(file, text);
        } catch (const ConfigError& error) {
            is_whole_ = false;
            std::ranges::copy(error.findings, std::back_inserter(findings_));
        }
    }

    Variables variables_;
    Document document_;
    std::vector<std::string> findings_;
    bool is_whole_ = true;
    std::vector<std::string> unparsed_;
    std::size_t size_ = 0;                 // of all files
    std::size_t room_ = max_config_bytes;  // for texts with values of the environment
};

}  // namespace

Document parse_toml(std::string_view text, const std::string& path) {
    Assembly assembly(path, Assembly::Variables::expand);
    assembly.add(assembly.document().path, text);
    return assembly.take();
}

Document read_toml(const std::string& path) {
    const std::string absolute = absolute_config_path(path);
    return parse_toml(load_config_text(absolute), absolute);
}

std::string find_runtime_dir(const std::string& path) {
    const std::string absolute = absolute_config_path(path);
    const std::string text = load_config_text(absolute);
    Assembly assembly(absolute, Assembly::Variables::keep);
    try {
        assembly.add(absolute, text);
    } catch (const ConfigError&) {
        // The file's faults do not matter here: the table is looked for below.
    }
    std::string found;
    const DocumentValue* const master = assembly.document().root.find("master");
    const DocumentValue* const value = master == nullptr ? nullptr : master->find("runtime_dir");
    if (value != nullptr) found = value->text;
    for (const std::string& unparsed : assembly.unparsed())
        if (found.empty()) found = scan_runtime_dir(unparsed);
    if (found.empty()) found = MasterSettings::options().find("runtime_dir")->text.fallback;
    try {
        return join_path(directory_of(absolute), expand_variables(found));
    } catch (const std::invalid_argument& fault) {
        throw ConfigError{{absolute + ": master.runtime_dir: " + fault.what()}};
    }
}

}  // namespace drover
