#include "master/cli/scaffold.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>
#include <sys/stat.h>

namespace drover {

namespace {

constexpr std::size_t max_name_size = 32;

// Names of CMake's own targets, and the package that the project looks for.
constexpr std::array<std::string_view, 11> taken_names = {"all",           "clean",      "depend",  "drover",
                                                          "edit_cache",    "help",       "install", "package",
                                                          "rebuild_cache", "preinstall", "test"};

constexpr bool is_letter(char c) noexcept {
    return c >= 'a' && c <= 'z';
}

constexpr bool is_name_character(char c) noexcept {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

std::string camel_case(std::string_view name) {
    std::string text;
    bool begins = true;
    for (const char c : name) {
        if (c != '_') text.push_back(begins && is_letter(c) ? static_cast<char>(c - 'a' + 'A') : c);
        begins = c == '_';
    }
    return text;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
}

void write_text(const std::string& path, std::string_view text) {
    std::ofstream file(path, std::ios::binary);
    file << text << std::flush;
    if (!file) throw_errno("write", path);
}

}  // namespace

std::string fill_in(std::string_view text, std::string_view name) {
    std::string filled(text);
    replace_all(filled, "@name@", name);
    replace_all(filled, "@Name@", camel_case(name));
    return filled;
}

std::string explain_bad_name(std::string_view name) {
    const bool well_formed =
        !name.empty() && is_letter(name.front()) && std::ranges::all_of(name, is_name_character);
    if (!well_formed)
        return fmt::format("\"{}\" is no name; write small letters, digits and \"_\", a letter first", name);
    if (name.size() > max_name_size) return fmt::format("a name has at most {} characters", max_name_size);
    if (std::ranges::find(taken_names, name) != taken_names.end())
        return fmt::format("\"{}\" cannot be the name: it is one of CMake's or Drover's own", name);
    return {};
}

void write_scaffold(const std::string& folder, std::string_view name) {
    if (::mkdir(folder.c_str(), 0777) != 0) {
        if (errno == EEXIST) throw std::runtime_error(fmt::format("\"{}\" is there already", folder));
        throw_errno("mkdir", folder);
    }
    try {
        for (const ScaffoldFile& file : scaffold_files())
            write_text(folder + "/" + fill_in(file.path, name), fill_in(file.text, name));
    } catch (...) {
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
        throw;
    }
}

}  // namespace drover
