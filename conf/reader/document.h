// Document is a parsed configuration, of one file or several, as a plain tree, each value with its place:
// what toml++ said, free of toml++. Runs in: the config reader only (the master never parses configuration).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

struct SourcePlace {
    std::uint32_t line = 0;  // from 1; 0: no place (a default)
    std::uint32_t column = 0;
    std::uint32_t file = 0;  // number in Document::files

    bool operator==(const SourcePlace&) const noexcept = default;
};

// Unread: what stands there is in Document::faults, and nothing follows from it.
enum class DocumentKind : std::uint8_t { boolean, integer, number, text, list, table, date, unread };
const char* to_text(DocumentKind kind) noexcept;  // "a boolean", "an integer", ...

struct DocumentValue {
    std::string name;  // key in its table; empty in a list
    DocumentKind kind = DocumentKind::table;
    SourcePlace place;      // of the value
    SourcePlace key_place;  // of its key, where it has one
    bool boolean = false;
    std::int64_t integer = 0;
    double number = 0;
    std::string text;
    bool is_expanded = false;  // the text has values of the environment in it (conf/reader/variables.h)
    std::vector<DocumentValue> children;  // of a table or list, in the file's order

    const DocumentValue* find(std::string_view child) const noexcept;
    DocumentValue* find(std::string_view child) noexcept;
    // It could not be read, or something in it.
    bool has_unread() const noexcept;
};

// A configuration that cannot be used: one line a finding, each "FILE:LINE:COLUMN: what is wrong; what would
// be right".
struct ConfigError {
    std::vector<std::string> findings;
};

// What is wrong at a place: "the environment has no PORT; ...".
struct Fault {
    SourcePlace place;
    std::string text;
    bool of_machine = false;  // it lacks something, and may have it later
};

struct Document {
    std::string path;                // of the main file, absolute
    std::string directory;           // of it, absolute: relative paths in the configuration start here
    std::vector<std::string> files;  // all that were read, absolute; the main one first
    DocumentValue root;
    std::vector<Fault> faults;  // of single values; the others can be checked
    // False: there is no such [master] user, and what he may open cannot be told.
    bool user_is_known = true;

    std::string place_text(SourcePlace place) const;  // "FILE:LINE:COLUMN"
};

inline constexpr std::size_t max_config_bytes = 4 * 1024 * 1024;
inline constexpr std::size_t max_config_depth = 32;

}  // namespace drover
