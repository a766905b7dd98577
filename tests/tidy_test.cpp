// The rules of the house that a machine can check, over the source tree. Each rule is a function of one
// file's text that returns what is wrong, and is first shown a sample that breaks it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace {

namespace fs = std::filesystem;

struct File {
    std::string path;  // from the root
    std::string text;

    std::string room() const { return path.substr(0, path.find('/')); }
    std::string name() const { return path.substr(path.rfind('/') + 1); }
    bool is_header() const { return path.ends_with(".h"); }
    bool is_code() const { return is_header() || path.ends_with(".cpp"); }
    bool in_program() const { return is_code() && program_rooms().contains(room()); }

    static const std::set<std::string>& program_rooms() {
        static const std::set<std::string> rooms = {"core", "conf", "worker", "modules", "master"};
        return rooms;
    }
};

using Rule = std::function<std::vector<std::string>(const File&)>;

std::vector<File> source_tree() {
    std::vector<File> files;
    const fs::path root = DROVER_SOURCE_DIR;
    for (auto entry = fs::recursive_directory_iterator(root); entry != fs::recursive_directory_iterator();
         ++entry) {
        const std::string path = entry->path().lexically_relative(root);
        if (path == "build" || path == ".git") entry.disable_recursion_pending();
        if (!entry->is_regular_file()) continue;
        const std::string extension = entry->path().extension();
        const bool wanted = extension == ".h" || extension == ".cpp" || extension == ".md";
        if (!wanted) continue;
        std::ostringstream text;
        text << std::ifstream(entry->path(), std::ios::binary).rdbuf();
        files.push_back({path, text.str()});
    }
    return files;
}

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += "\n" + line;
    return text;
}

// Fails for each finding in the tree, and unless the rule finds something in `sample`.
void check_tree(const Rule& rule, const File& sample) {
    CHECK_MESSAGE(!rule(sample).empty(), "the rule does not see its sample");
    for (const File& file : source_tree()) {
        const std::vector<std::string> findings = rule(file);
        CHECK_MESSAGE(findings.empty(), file.path << ":" << joined(findings));
    }
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

// The code of a line: without what follows "//".
std::string code_of(const std::string& line) {
    return line.substr(0, line.find("//"));
}

// One finding for each line whose code matches.
std::vector<std::string> matching_code(const File& file, const std::regex& pattern) {
    std::vector<std::string> findings;
    const std::vector<std::string> lines = lines_of(file.text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (std::regex_search(code_of(lines[i]), pattern))
            findings.push_back(std::to_string(i + 1) + ": " + lines[i]);
    }
    return findings;
}

std::vector<std::string> includes_of(const File& file) {
    static const std::regex pattern(R"re(^\s*#\s*include\s+["<]([^">]+)[">])re");
    std::vector<std::string> includes;
    for (const std::string& line : lines_of(file.text)) {
        if (std::smatch match; std::regex_search(line, match, pattern)) includes.push_back(match[1]);
    }
    return includes;
}

// One list says what is public, for modules and for those who embed Drover.
const std::set<std::string>& public_headers() {
    static const std::set<std::string> headers = [] {
        std::set<std::string> found;
        std::ifstream list(fs::path(DROVER_SOURCE_DIR) / "cmake/public_headers.txt");
        for (std::string line; std::getline(list, line);)
            if (!line.empty() && !line.starts_with('#')) found.insert(line);
        return found;
    }();
    return headers;
}

// What a room may include of the others; a room's own files are always fine.
bool may_include(const File& file, const std::string& include) {
    static const std::map<std::string, std::set<std::string>> allowed = {
        {"core", {}},
        {"conf", {"core"}},
        {"worker", {"core", "conf"}},
        {"modules", {"core", "conf"}},
        {"master", {"core", "conf", "worker"}},
    };
    const std::string target = include.substr(0, include.find('/'));
    if (target == file.room()) return true;
    if (file.room() == "modules" && target == "worker" && public_headers().contains(include)) return true;
    if ((file.path == "master/main.cpp" || file.path == "master/cli/cli.cpp") && target == "modules")
        return true;
    return allowed.at(file.room()).contains(target);
}

std::vector<std::string> wrong_room(const File& file) {
    std::vector<std::string> findings;
    if (!file.in_program()) return findings;
    for (const std::string& include : includes_of(file)) {
        const bool ours = File::program_rooms().contains(include.substr(0, include.find('/'))) ||
                          include.starts_with("tests/");
        if (ours && !may_include(file, include))
            findings.push_back(file.room() + " may not include " + include);
    }
    return findings;
}

// Each library stands behind one file.
std::vector<std::string> wrong_library(const File& file) {
    static const std::vector<std::pair<std::string, std::set<std::string>>> owners = {
        {"event2/", {"core/loop/event_loop.cpp"}},
        {"event.h", {"core/loop/event_loop.cpp"}},
        {"spdlog/", {"core/log/log.cpp"}},
        {"toml++/", {"conf/reader/toml_reader.cpp"}},
        {"nlohmann/", {"master/control/control_message.cpp"}},
        {"CLI/", {"master/cli/cli.cpp"}},
        {"CLI11", {"master/cli/cli.cpp"}},
    };
    std::vector<std::string> findings;
    if (!file.in_program()) return findings;
    for (const std::string& include : includes_of(file)) {
        for (const auto& [prefix, files] : owners) {
            if (include.starts_with(prefix) && !files.contains(file.path))
                findings.push_back("includes " + include);
        }
        if (file.is_header() && include.starts_with("fmt/"))
            findings.push_back("a header includes " + include);
    }
    return findings;
}

std::vector<std::string> forks(const File& file) {
    static const std::regex pattern(
        R"((^|[^\w])(v?fork|_Fork|clone|clone3|posix_spawnp?|system|popen)\s*\()");
    if (!file.in_program() || file.path == "core/process/process.cpp") return {};
    return matching_code(file, pattern);
}

std::vector<std::string> header_form(const File& file) {
    std::vector<std::string> findings;
    if (!file.is_header()) return findings;
    if (!file.text.starts_with("// "))
        findings.push_back("does not open with a comment that says what it is");
    const std::size_t pragma = file.text.find("\n#pragma once\n");
    if (pragma == std::string::npos) findings.push_back("has no #pragma once");
    if (file.text.find("\n#include") < pragma) findings.push_back("includes before #pragma once");
    return findings;
}

std::vector<std::string> own_header_first(const File& file) {
    const std::string header = file.path.substr(0, file.path.rfind('.')) + ".h";
    if (!file.in_program() || file.is_header() || !fs::exists(fs::path(DROVER_SOURCE_DIR) / header))
        return {};
    const std::vector<std::string> includes = includes_of(file);
    if (!includes.empty() && includes.front() == header) return {};
    return {"does not include " + header + " first"};
}

std::size_t columns(std::string_view line) {
    // Continuation bytes of UTF-8 take no column of their own.
    return static_cast<std::size_t>(std::count_if(
        line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::vector<std::string> long_lines(const File& file) {
    std::vector<std::string> findings;
    if (!file.is_code()) return findings;
    const std::vector<std::string> lines = lines_of(file.text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::size_t width = columns(lines[i]);
        if (width > 110)
            findings.push_back("line " + std::to_string(i + 1) + " has " + std::to_string(width) +
                               " columns");
    }
    return findings;
}

std::vector<std::string> unfinished(const File& file) {
    static const std::regex pattern(R"(\b(TODO|FIXME|XXX|HACK)\b)");
    std::vector<std::string> findings;
    if (!file.is_code() || file.path == "tests/tidy_test.cpp") return findings;
    for (const std::string& line : lines_of(file.text)) {
        if (std::regex_search(line, pattern)) findings.push_back(line);
    }
    return findings;
}

std::vector<std::string> sleeps(const File& file) {
    static const std::regex pattern(
        R"((^|[^\w])(sleep|usleep|nanosleep|clock_nanosleep|sleep_for|sleep_until)\s*\()");
    const bool covered = file.in_program() || file.path.starts_with("tests/system/");
    if (!covered) return {};
    return matching_code(file, pattern);
}

std::vector<std::string> using_namespace(const File& file) {
    static const std::regex pattern(R"(^\s*using namespace\b)");
    if (!file.is_header()) return {};
    return matching_code(file, pattern);
}

std::vector<std::string> dead_links(const File& file) {
    static const std::regex pattern(R"(\]\(([^)#\s]+)[^)]*\))");
    std::vector<std::string> findings;
    if (!file.path.ends_with(".md")) return findings;
    const fs::path folder = (fs::path(DROVER_SOURCE_DIR) / file.path).parent_path();
    for (auto match = std::sregex_iterator(file.text.begin(), file.text.end(), pattern);
         match != std::sregex_iterator(); ++match) {
        const std::string target = (*match)[1];
        if (target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
        if (!fs::exists(folder / target)) findings.push_back("links to " + target);
    }
    return findings;
}

}  // namespace

TEST_CASE("the source tree is found") {
    const std::vector<File> files = source_tree();
    CHECK(std::any_of(files.begin(), files.end(),
                      [](const File& file) { return file.path == "tests/tidy_test.cpp"; }));
    CHECK(std::count_if(files.begin(), files.end(), [](const File& file) { return file.in_program(); }) > 20);
}

TEST_CASE("a room includes only the rooms that it may") {
    check_tree(wrong_room, {"core/sample.cpp", "#include \"conf/image/image.h\"\n"});
    CHECK_FALSE(wrong_room({"conf/sample.cpp", "#include \"worker/module/module.h\"\n"}).empty());
    CHECK_FALSE(wrong_room({"worker/sample.h", "#include \"modules/all_modules.h\"\n"}).empty());
    CHECK_FALSE(wrong_room({"modules/echo/sample.cpp", "#include \"worker/worker.h\"\n"}).empty());
    CHECK_FALSE(wrong_room({"master/master.cpp", "#include \"modules/all_modules.h\"\n"}).empty());
    CHECK_FALSE(wrong_room({"core/sample.cpp", "#include \"tests/support/child.h\"\n"}).empty());
    CHECK(wrong_room({"master/main.cpp", "#include \"modules/all_modules.h\"\n"}).empty());
    CHECK(wrong_room({"modules/echo/sample.cpp", "#include \"worker/module/module.h\"\n"}).empty());
}

TEST_CASE("each library stands behind one file") {
    check_tree(wrong_library, {"core/process/process.cpp", "#include <event2/event.h>\n"});
    CHECK_FALSE(wrong_library({"master/master.cpp", "#include <spdlog/spdlog.h>\n"}).empty());
    CHECK_FALSE(wrong_library({"conf/image/image.cpp", "#include <toml++/toml.h>\n"}).empty());
    CHECK_FALSE(wrong_library({"master/cli/cli.cpp", "#include <nlohmann/json.hpp>\n"}).empty());
    CHECK_FALSE(wrong_library({"master/cli/run.cpp", "#include <CLI/CLI.hpp>\n"}).empty());
    CHECK_FALSE(wrong_library({"core/sample.h", "#include <fmt/core.h>\n"}).empty());
}

TEST_CASE("there is one fork in the program") {
    check_tree(forks, {"master/supervise/pool.cpp", "    const pid_t pid = ::fork();\n"});
    CHECK(forks({"master/supervise/pool.cpp", "    spawn(options, main);  // the only fork()\n"}).empty());
    std::size_t count = 0;
    for (const File& file : source_tree()) {
        if (file.path == "core/process/process.cpp")
            count += matching_code(file, std::regex(R"((^|[^\w])fork\s*\()")).size();
    }
    CHECK(count == 1);
}

TEST_CASE("a header says what it is and is included once") {
    check_tree(header_form, {"core/sample.h", "#pragma once\n"});
    CHECK_FALSE(header_form({"core/sample.h", "// Sample is one.\n#ifndef SAMPLE_H\n"}).empty());
    CHECK_FALSE(header_form({"core/sample.h", "// Sample.\n#include <string>\n#pragma once\n"}).empty());
}

TEST_CASE("a source file includes its own header first") {
    check_tree(own_header_first,
               {"core/process/process.cpp", "#include <string>\n#include \"core/process/process.h\"\n"});
}

TEST_CASE("no line is longer than 110 columns") {
    check_tree(long_lines, {"core/sample.cpp", std::string(111, 'x') + "\n"});
    CHECK(long_lines({"core/sample.cpp", std::string(110, 'x') + "\n"}).empty());
}

TEST_CASE("nothing is left for later") {
    check_tree(unfinished, {"core/sample.cpp", "// TODO: everything\n"});
}

TEST_CASE("nothing sleeps: readiness is a message") {
    check_tree(sleeps, {"master/sample.cpp", "    std::this_thread::sleep_for(1s);\n"});
    CHECK_FALSE(sleeps({"tests/system/sample_test.cpp", "    usleep(100);\n"}).empty());
}

TEST_CASE("headers open no namespace for others") {
    check_tree(using_namespace, {"core/sample.h", "using namespace std;\n"});
}

TEST_CASE("links in the documents lead to files") {
    check_tree(dead_links, {"README.md", "See [the design](docs/no-such-file.md).\n"});
    CHECK(dead_links({"README.md", "[test](tests/tidy_test.cpp#rules) [web](https://example.org/)"}).empty());
}

TEST_CASE("each room says what it is") {
    const auto explained = [](const std::string& room) {
        return fs::exists(fs::path(DROVER_SOURCE_DIR) / room / "README.md");
    };
    CHECK_FALSE(explained("no_such_room"));
    for (const std::string room : {"core", "conf", "worker", "modules", "master", "tests"}) {
        CHECK_MESSAGE(explained(room), room << " has no README.md");
    }
}
