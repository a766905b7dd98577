// The scaffold is what `drover new NAME` writes: a folder with a module, its test, a program, a
// CMakeLists.txt and a configuration, that builds and passes as it is. Its files are those of
// master/cli/scaffold/, with NAME and its CamelCase form put in. Runs in: the command line.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace drover {

// As in master/cli/scaffold/, without ".in": both have places for the name.
struct ScaffoldFile {
    std::string_view path;
    std::string_view text;
};
std::span<const ScaffoldFile> scaffold_files() noexcept;

// `text` with the name put in for its places: @name@, and @Name@ for CamelCase.
std::string fill_in(std::string_view text, std::string_view name);

// Why NAME cannot be the name of a module and a program, in one line; empty: it can.
std::string explain_bad_name(std::string_view name);

// Makes the folder and writes the files into it. Throws std::runtime_error when something of that name
// is there, std::system_error when it cannot be written; then nothing is left of it.
void write_scaffold(const std::string& folder, std::string_view name);

}  // namespace drover
