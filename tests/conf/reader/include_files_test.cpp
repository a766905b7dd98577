// Configurations of several files.
#include "conf/reader/include_files.h"

#include "conf/reader/toml_reader.h"
#include "tests/conf/toy_modules.h"
#include "tests/support/temporary_folder.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

struct Files {
    Files() { std::filesystem::create_directory(folder.file("conf.d")); }
    std::string write(const std::string& name, const std::string& text) const {
        write_file(folder.file(name.c_str()), text);
        return folder.file(name.c_str());
    }
    std::string main(const std::string& text) const { return write("main.toml", text); }
    // Findings, with F for the folder.
    std::string check() const {
        std::string lines;
        const auto add = [&](const std::vector<std::string>& findings) {
            for (std::string line : findings) {
                const std::string base = folder.file("");
                for (std::size_t at = line.find(base); at != std::string::npos; at = line.find(base))
                    line.replace(at, base.size(), "F/");
                lines += line + "\n";
            }
        };
        try {
            add(check_document(read_toml(folder.file("main.toml")), toy::modules(), nullptr).findings);
        } catch (const ConfigError& error) {
            add(error.findings);
        }
        return lines;
    }
    TemporaryFolder folder;
};

const std::string included_pool =
    "[pool.main]\nmodules = [\"http\"]\n"
    "[[pool.main.listen]]\naddress = \"127.0.0.1:80\"\nmodule = \"http\"\n";
const std::string conf_d = "include = [\"conf.d/*.toml\"]\n";

std::string site(const std::string& path) {
    return "[[module.http.route]]\npath = \"" + path + "\"\n";
}

}  // namespace

TEST_CASE("included files add tables, keys and lists of tables, in the order of their names") {
    const Files files;
    files.main(conf_d + "[master]\nlog_level = \"debug\"\n" + site("/main"));
    files.write("conf.d/20-b.toml", site("/b"));
    files.write("conf.d/10-a.toml", included_pool + site("/a") + "[master]\nlog_file = \"log\"\n");
    files.write("conf.d/30-c.toml.disabled", "not TOML");
    files.write("conf.d/.hidden.toml", "not TOML");
    CHECK(files.check() == "");
    const Document document = read_toml(files.folder.file("main.toml"));
    CHECK(document.root.find("include") == nullptr);
    const DocumentValue& routes = *document.root.find("module")->find("http")->find("route");
    REQUIRE(routes.children.size() == 3);
    CHECK(routes.children[0].find("path")->text == "/main");
    CHECK(routes.children[1].find("path")->text == "/a");
    CHECK(routes.children[2].find("path")->text == "/b");
    CHECK(document.place_text(routes.children[2].find("path")->place) ==
          files.folder.file("conf.d/20-b.toml") + ":2:8");
    CHECK(document.root.find("master")->children.size() == 2);
    CHECK(document.directory + "/" == files.folder.file(""));
}

TEST_CASE("nothing that matches a pattern is nothing; a name without wildcards must be there") {
    const Files files;
    files.main("include = [\"conf.d/*.toml\", \"none.d/*.toml\"]\n" + included_pool);
    CHECK(files.check() == "");
    files.main("include = [\"none.toml\"]\n" + included_pool);
    CHECK(
        files.check() ==
        "F/main.toml:1:12: include: F/none.toml: there is no such file; a pattern like \"conf.d/*.toml\" may "
        "mean none\n");
    files.main("include = [\"conf.d\"]\n" + included_pool);
    CHECK(files.check() == "F/conf.d: is a directory; a configuration is a regular file\n");
    files.main("include = \"conf.d/*.toml\"\n" + included_pool);
    CHECK(files.check() ==
          "F/main.toml:1:11: include: expected a list of texts, not a text; write include = "
          "[\"conf.d/*.toml\"]\n");
    files.main("include = [1]\n" + included_pool);
    CHECK(files.check() == "F/main.toml:1:12: include: expected a text, not an integer\n");
    files.main(included_pool + conf_d);
    CHECK(files.check().find("include stands before the first [table] of a file") != std::string::npos);
}

TEST_CASE("what is wrong in an included file is found there, all of it at once") {
    const Files files;
    files.main(conf_d + included_pool + "x = 1\n");
    files.write("conf.d/a.toml", "[pool.main]\nworkers = \n");
    files.write("conf.d/b.toml", "\n[pool.other]\ny = \"${DROVER_NONE}\"\n");
    ::unsetenv("DROVER_NONE");
    CHECK(files.check() ==
          "F/conf.d/a.toml:2:11: expected value, saw '\\n' (in the key-value pair)\n"
          "F/conf.d/b.toml:3:5: the environment has no DROVER_NONE; set it, or write "
          "${DROVER_NONE:-default}\n");
    files.write("conf.d/a.toml", "[pool.main]\nworkers = 0\n");
    files.write("conf.d/b.toml", "[pool.main]\nworkrs = 1\n");
    const std::string found = files.check();
    CHECK(found.find("F/conf.d/a.toml:2:11: pool.main.workers: 0 is out of bounds") != std::string::npos);
    CHECK(found.find("F/conf.d/b.toml:2:1: pool.main: unknown key \"workrs\"") != std::string::npos);
    CHECK(found.find("F/main.toml:7:1: pool.main.listen[0]: unknown key \"x\"") != std::string::npos);
}

TEST_CASE("a key in two files is a finding with both places") {
    const Files files;
    files.main(conf_d + included_pool);
    files.write("conf.d/a.toml", "[pool.main]\nworkers = 2\n");
    files.write("conf.d/b.toml", "[pool.main]\nmodules = [\"echo\"]\nworkers = 3\n");
    CHECK(files.check() ==
          "F/conf.d/b.toml:2:1: pool.main.modules: stands already at F/main.toml:3:1; a key is given a value "
          "once\n"
          "F/conf.d/b.toml:3:1: pool.main.workers: stands already at F/conf.d/a.toml:2:1; a key is given a "
          "value "
          "once\n");
}

TEST_CASE("an included file may include, from where it is; no file is read twice") {
    const Files files;
    files.main("include = [\"conf.d/a.toml\"]\n");
    files.write("conf.d/a.toml", "include = [\"../more.toml\"]\n");
    const std::string more = files.write("more.toml", included_pool);
    CHECK(files.check() == "");
    files.write("conf.d/a.toml", "include = [\"../more.toml\", \"../main.toml\", \"a.toml\", \"*.toml\"]\n");
    CHECK(files.check() ==
          "F/conf.d/a.toml:1:28: include: F/main.toml is read already; a file is included once\n"
          "F/conf.d/a.toml:1:44: include: F/conf.d/a.toml is read already; a file is included once\n"
          "F/conf.d/a.toml:1:54: include: F/conf.d/a.toml is read already; a file is included "
          "once\n");
    // A loop through links ends, too.
    std::filesystem::create_symlink(".", files.folder.file("conf.d/d"));
    files.write("conf.d/a.toml", "include = [\"d/a.toml\"]\n");
    CHECK(files.check().find("Too many levels of symbolic links") != std::string::npos);
}

TEST_CASE("files and their sizes are bounded") {
    const Files files;
    files.main(conf_d + included_pool);
    for (int index = 0; index < 257; ++index)
        files.write("conf.d/" + std::to_string(index) + ".toml", "");
    CHECK(files.check() ==
          "F/main.toml:1:12: include: \"conf.d/*.toml\": means 257 files; at most 256 are read\n");
    std::filesystem::remove_all(files.folder.file("conf.d"));
    std::filesystem::create_directory(files.folder.file("conf.d"));
    files.write("conf.d/a.toml", "#" + std::string(3 << 20, 'x'));
    files.write("conf.d/b.toml", "#" + std::string(3 << 20, 'x'));
    CHECK(files.check() == "F/main.toml:1:12: include: with F/conf.d/b.toml the files have more than 4M\n");
}

TEST_CASE("a variable may name what is included") {
    const Files files;
    ::setenv("DROVER_T1", "conf.d/one.toml", 1);
    files.main("include = [\"${DROVER_T1}\"]\n");
    files.write("conf.d/one.toml", included_pool);
    CHECK(files.check() == "");
    ::unsetenv("DROVER_T1");
    CHECK(files.check() ==
          "F/main.toml:1:12: include: \"${DROVER_T1}\": the environment has no DROVER_T1; set it, or "
          "write ${DROVER_T1:-default}\n");
}

TEST_CASE("values of the environment are bounded over all files together") {
    const Files files;
    ::setenv("DROVER_T1", std::string(100'000, 'x').c_str(), 1);
    files.main(conf_d + included_pool);
    for (const char* const name : {"conf.d/a.toml", "conf.d/b.toml"}) {
        std::string lines = "[module.http]\n";
        for (int i = 0; i < 30; ++i)
            lines += std::string(1, name[7]) + std::to_string(i) + " = \"${DROVER_T1}\"\n";
        files.write(name, lines);
    }
    const std::string found = files.check();
    CHECK(found.find("F/conf.d/b.toml:12:7: texts with values") == std::string::npos);
    CHECK(found.find("F/conf.d/b.toml:13:7: texts with values of the environment have more than 4M\n") !=
          std::string::npos);
    ::unsetenv("DROVER_T1");
}

TEST_CASE("find_runtime_dir looks into included files, and past those that do not parse") {
    const Files files;
    const std::string base = files.folder.file("");
    const auto find = [&] { return find_runtime_dir(files.folder.file("main.toml")).substr(base.size()); };
    files.main(conf_d + "[master]\nlog_file = \"${DROVER_NONE}\"\n");
    files.write("conf.d/a.toml", "[master]\nruntime_dir = \"r1\"\n");
    ::unsetenv("DROVER_NONE");
    CHECK(find() == "r1");
    files.write("conf.d/b.toml", "x = \n");
    CHECK(find() == "r1");
    files.write("conf.d/a.toml", "[master]\nruntime_dir = \"r2\"\nx = \n");
    CHECK(find() == "r2");
    files.write("conf.d/a.toml", "[master]\nruntime_dir = \"${DROVER_T1:-r3}\"\n");
    CHECK(find() == "r3");
    ::setenv("DROVER_T1", "r4", 1);
    CHECK(find() == "r4");
    ::unsetenv("DROVER_T1");
    files.write("conf.d/a.toml", "[master]\nruntime_dir = \"${DROVER_T1}\"\n");
    CHECK_THROWS_AS(find(), ConfigError);
}
