// Snippets of a document: its fenced blocks, each named by document, heading and number under that heading.
// Projects of tests/embedding/documents are files in which a line "@@ DOCUMENT # HEADING # NUMBER" stands for
// one. Runs in: tests.
#pragma once

#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace drover::test {

struct Snippet {
    std::string language;  // empty: none is named
    std::string text;      // whole lines
    std::vector<std::string> lines() const {
        std::vector<std::string> all;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);)
            all.push_back(line);
        return all;
    }
};

// By "README.md # Two commands # 1".
using Snippets = std::map<std::string, Snippet>;

// `name` is the document's path from the root of the tree.
inline void add_snippets(Snippets& snippets, const std::string& name) {
    std::istringstream document(read_file(std::string(DROVER_SOURCE_DIR) + "/" + name));
    std::string heading;
    unsigned number = 0;
    Snippet* open = nullptr;
    for (std::string line; std::getline(document, line);) {
        if (line.starts_with("```")) {
            if (open != nullptr) {
                open = nullptr;
                continue;
            }
            open = &snippets[name + " # " + heading + " # " + std::to_string(++number)];
            open->language = line.substr(3);
        } else if (open != nullptr) {
            open->text += line + "\n";
        } else if (line.starts_with("#")) {
            heading = line.substr(line.find_first_not_of("# "));
            number = 0;
        }
    }
}

// README.md, those of docs/ and of the rooms.
inline Snippets all_snippets() {
    namespace fs = std::filesystem;
    const fs::path root = DROVER_SOURCE_DIR;
    Snippets snippets;
    for (const auto& entry : fs::directory_iterator(root)) {
        if (entry.path().extension() == ".md") add_snippets(snippets, entry.path().filename().string());
        if (entry.is_directory() && fs::exists(entry.path() / "README.md"))
            add_snippets(snippets, (entry.path().filename() / "README.md").string());
    }
    for (const auto& entry : fs::directory_iterator(root / "docs"))
        if (entry.path().extension() == ".md")
            add_snippets(snippets, "docs/" + entry.path().filename().string());
    return snippets;
}

inline std::string snippet_name(std::string_view line) {
    const std::size_t mark = line.find("@@ ");
    return mark == line.npos ? std::string() : std::string(line.substr(mark + 3));
}

// Writes the project `from` to the folder `to`, with each snippet in its place.
inline void write_project(const std::filesystem::path& from, const std::filesystem::path& to,
                          const Snippets& snippets) {
    std::filesystem::create_directories(to);
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
        std::istringstream frame(read_file(entry.path().string()));
        std::string text;
        for (std::string line; std::getline(frame, line);) {
            const std::string name = snippet_name(line);
            if (!name.empty() && !snippets.contains(name)) throw std::runtime_error("no snippet " + name);
            text += name.empty() ? line + "\n" : snippets.at(name).text;
        }
        write_file((to / entry.path().stem()).string(), text);  // without ".in"
    }
}

}  // namespace drover::test
