#include "conf/reader/toml_reader.h"

#include "tests/support/temporary_folder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

// The path of what was written.
std::string write(const TemporaryFolder& folder, const char* name, std::string_view text) {
    write_file(folder.file(name), text);
    return folder.file(name);
}

std::string read_error(const std::string& path) {
    try {
        read_toml(path);
    } catch (const ConfigError& error) {
        REQUIRE(error.findings.size() == 1);
        return error.findings.front();
    }
    return "";
}

std::string parse_error(std::string_view text) {
    try {
        parse_toml(text, "/f");
    } catch (const ConfigError& error) {
        REQUIRE(error.findings.size() == 1);
        return error.findings.front();
    }
    return "";
}

}  // namespace

TEST_CASE("read_toml gives every value its kind, place and order") {
    const TemporaryFolder directory;
    const std::string path = write(
        directory, "a.toml",
        "z = true\n[b]\n  i = -5\nf = 1.5 # x\n[a]\nt = \"é\\n\"\nl = [1, 'x']\nd = 1979-05-27\n[[a.m]]\n");
    const Document document = read_toml(path);
    CHECK(document.path == path);
    CHECK(document.directory == directory.file(".").substr(0, path.size() - 7));
    const DocumentValue& root = document.root;
    REQUIRE(root.children.size() == 3);
    CHECK(root.children[0].name == "z");
    CHECK(root.children[1].name == "b");
    CHECK(root.children[2].name == "a");
    CHECK(root.children[0].boolean);
    const DocumentValue* integer = root.find("b")->find("i");
    CHECK(integer->kind == DocumentKind::integer);
    CHECK(integer->integer == -5);
    CHECK(document.place_text(integer->place) == path + ":3:7");
    CHECK(document.place_text(integer->key_place) == path + ":3:3");
    CHECK(root.find("b")->find("f")->kind == DocumentKind::number);
    CHECK(root.find("b")->find("f")->number == 1.5);
    CHECK(document.place_text(root.find("a")->place) == path + ":5:2");
    CHECK(root.find("a")->find("t")->text == "é\n");
    REQUIRE(root.find("a")->find("l")->children.size() == 2);
    CHECK(root.find("a")->find("l")->children[1].place.column == 9);
    CHECK(root.find("a")->find("d")->kind == DocumentKind::date);
    CHECK(root.find("a")->find("m")->kind == DocumentKind::list);
    CHECK(root.find("nothing") == nullptr);
    CHECK(document.place_text({}) == path);
}

TEST_CASE("what is no readable regular file is one clear error") {
    const TemporaryFolder directory;
    CHECK(read_error(directory.file("missing")) ==
          directory.file("missing") + ": cannot be read: No such file or directory");
    CHECK(read_error(directory.file("")).ends_with("/: is a directory; a configuration is a regular file"));
    CHECK(read_error("") == "the configuration file has no name");
    REQUIRE(::mkfifo(directory.file("fifo").c_str(), 0600) == 0);
    CHECK(read_error(directory.file("fifo")) ==
          directory.file("fifo") + ": is a FIFO; a configuration is a regular file");
    CHECK(read_error("/dev/zero") == "/dev/zero: is a device; a configuration is a regular file");
    const std::string big = write(directory, "big", "");
    REQUIRE(::truncate(big.c_str(), 200'000'000) == 0);
    CHECK(read_error(big) == big + ": has 200000000 bytes; a configuration has at most 4M");
    // A file that claims to be empty and is not: what a file that grows while it is read looks like.
    CHECK(read_error("/proc/self/status") ==
          "/proc/self/status: changed while it was read; try again when it is written");
}

TEST_CASE("a text that is not TOML is refused with its place") {
    CHECK(parse_error("a = 1\nb = \n") == "/f:2:5: expected value, saw '\\n' (in the key-value pair)");
    CHECK(parse_error("[a]\nx = \"abc\n").starts_with("/f:2:"));
    CHECK(parse_error("a = 1\na = 2").starts_with("/f:2:"));
    CHECK(parse_error("[&").starts_with("/f:1:2: "));
    CHECK(parse_error("a = 99999999999999999999").starts_with("/f:1:"));
    CHECK(parse_error("").empty());
}

TEST_CASE("what people get wrong most is told with what to do") {
    const std::string closing = "; the closing quote is missing: a text ends on its line";
    for (const char* open : {"a = \"x", "a = 'x", "a = \"\u00e9\u00e9"}) {
        CHECK(parse_error(open + std::string("\nb = 1\n")).find(closing) != std::string::npos);
        CHECK(parse_error("z = 1\n" + std::string(open) + "\r\nb = 1\n").find(closing) != std::string::npos);
    }
    CHECK(parse_error("a = \"x\x01y\"\n").find(closing) == std::string::npos);
    CHECK(parse_error("a = \"\"\"x\n").ends_with("; the closing quotes are missing"));
    for (const char* bare : {"a = abc", "a = 30s", "a = 127.0.0.1:80", "a = /var/log", "a = True"})
        CHECK_MESSAGE(parse_error(bare).find("stands in quotes") != std::string::npos, parse_error(bare));
}

TEST_CASE("NUL bytes and what is not UTF-8 are refused before they are parsed") {
    const std::string_view with_nul("a = 1\n# é\0", 11);
    CHECK(parse_error(with_nul) == "/f:2:4: a NUL byte; a configuration is text");
    for (const char* bad : {"\xff", "\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
        CHECK(parse_error(std::string("# ä\n#") + bad) ==
              "/f:2:2: not UTF-8; save the file in that encoding");
    CHECK(parse_error("# \xf0\x9f\x90\x91 \xe2\x82\xac \xef\xbf\xbd").empty());
}

TEST_CASE("deep nesting is refused before it is parsed") {
    const auto repeat = [](const char* text, int times) {
        std::string result;
        while (times-- > 0)
            result += text;
        return result;
    };
    const std::string message = "nested too deeply; at most 32 levels";
    CHECK(parse_error("a = " + repeat("[", 100'000)).ends_with(message));
    CHECK(parse_error("a = " + repeat("{a=", 100'000)).ends_with(message));
    CHECK(parse_error("[a" + repeat(".a", 1'000'000) + "]").ends_with(message));
    CHECK(parse_error("a" + repeat(" . 'a.b' ", 100) + " = 1").ends_with(message));
    CHECK(parse_error("k = { s = \"\"\"x\"\"\"\", a" + repeat(".a", 100'000) + " = 1 }").ends_with(message));
    CHECK(parse_error("a = " + repeat("[", 20) + repeat("]", 20)).empty());
    // What stands in strings and comments, or in a long list of fractions, is not nested.
    CHECK(parse_error("a = \"" + repeat("[.", 100) + "\" # " + repeat("{.", 100)).empty());
    CHECK(parse_error("a = '''\n" + repeat("[.", 100) + "\n'''").empty());
    CHECK(parse_error("a = \"\"\"\n\\\"" + repeat("[.", 100) + "\n\"\"\"").empty());
    CHECK(parse_error("a = [" + repeat("1.5,", 1000) + "]").empty());
}

TEST_CASE("find_runtime_dir reads one key, also from a file that no longer parses") {
    const TemporaryFolder directory;
    const auto find = [&](std::string_view text) {
        const std::string found = find_runtime_dir(write(directory, "c.toml", text));
        const std::string base = directory.file("");
        return found.starts_with(base) ? found.substr(base.size()) : found;
    };
    CHECK(find("") == "run");
    CHECK(find("[master]\nruntime_dir = \"r1\"\n") == "r1");
    CHECK(find("[master]\nruntime_dir = '/a/b' # c\n") == "/a/b");
    CHECK(find("master = { runtime_dir = \"r2\" }\n") == "r2");
    CHECK(find("master.runtime_dir = \"r3\"\n") == "r3");
    CHECK(find("[master]\nruntime_dir = 7\n") == "run");
    CHECK(find("[pool.main]\nruntime_dir = 'no'\n") == "run");

    const std::string broken = "\n[[[ nonsense = \n";
    CHECK(find(broken) == "run");
    CHECK(find("[master]\nruntime_dir = \"r4\" # comment" + broken) == "r4");
    CHECK(find(broken + "[ master ] # the master\n  runtime_dir='r 5'") == "r 5");
    CHECK(find(broken + "[\"master\"]\n\"runtime_dir\" = \"a\\\"\\\\b\"\n") == "a\"\\b");
    CHECK(find("master . runtime_dir = 'r6'" + broken) == "r6");
    CHECK(find("[master]\n# runtime_dir = 'no'" + broken) == "run");
    CHECK(
        find("[other]\nruntime_dir = 'no'\n[master.sub]\nruntime_dir = 'no'\n[[master]]\nruntime_dir = 'no'" +
             broken) == "run");
    CHECK(find("[other]\nmaster.runtime_dir = 'no'" + broken) == "run");
    CHECK(find("[master]\nruntime_dir_x = 'no'\nruntime_dir = 'unfinished" + broken) == "run");
    CHECK(find("[master]\nruntime_dir = 'a' 'b'" + broken) == "run");
    CHECK(find("[master]\r\nruntime_dir = 'crlf'\r\n" + broken) == "crlf");
    CHECK(find("[master]\nruntime_dir = \"../up\"" + broken).ends_with("/up"));
    CHECK(find("\xff\n[master]\nruntime_dir = 'r7'\n") == "r7");
    CHECK_THROWS_AS(find_runtime_dir(directory.file("missing")), ConfigError);
}
