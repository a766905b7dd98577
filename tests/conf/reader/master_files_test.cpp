#include "conf/reader/master_files.h"

#include "conf/reader/checker.h"
#include "conf/reader/privileged_values.h"
#include "conf/reader/toml_reader.h"
#include "conf/settings.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

using namespace drover;

namespace {

struct Site {
    std::string_view log;
    static const Options<Site>& options() {
        static const auto table =
            Options<Site>("A site.").text("log", &Site::log, {.master_file = true}, Apply::hot, "Its log.");
        return table;
    }
};

struct Web {
    std::string_view log;
    std::string_view title;
    Site main;
    std::vector<Site> sites;
    static const Options<Web>& options() {
        static const auto table =
            Options<Web>("Writes files.")
                .text("log", &Web::log, {.master_file = true}, Apply::hot, "A log.")
                .text("title", &Web::title, {}, Apply::hot, "No file.")
                .table("main", &Web::main, Site::options(), Apply::hot, "A table.")
                .tables("site", &Web::sites, Site::options(), 100, Apply::hot, "A list of tables.");
        return table;
    }
};

const std::string main_pool = "[pool.main]\nmodules = [\"web\"]\n";
const std::string files = main_pool +
                          "[module.web]\nlog = \"a.log\"\ntitle = \"title\"\n"
                          "[module.web.main]\nlog = \"/var/b.log\"\n"
                          "[[module.web.site]]\nlog = \"\"\n"
                          "[[module.web.site]]\nlog = \"stdout\"\n"
                          "[module.other]\nlog = \"not_used.log\"\n";

CheckedConfiguration check(const std::string& text) {
    const std::vector<ModuleDeclaration> modules{{.name = "web", .options = &Web::options()},
                                                 {.name = "other", .options = &Web::options()}};
    return check_document(parse_toml(text, "/etc/f.toml"), modules, nullptr);
}

std::string rights_of(const std::string& text) {
    const Document document = parse_toml(text, "/etc/f.toml");
    return privileged_values(document) + privileged_files(document);
}

bool allowed(const std::string& by, const std::string& text) {
    const CheckedConfiguration checked = check(text);
    REQUIRE(checked.findings.empty());
    return allows(rights_of(by), Settings::load(Image::view(checked.image)));
}

}  // namespace

TEST_CASE("files of the modules that run come with the image, with path and place") {
    const CheckedConfiguration checked = check(files);
    REQUIRE(checked.findings.empty());
    const Settings settings = Settings::load(Image::view(checked.image));
    REQUIRE(settings.files.size() == 3);
    CHECK(settings.files[0].path == "/etc/a.log");
    CHECK(settings.files[0].module == "web");
    CHECK(settings.files[0].place == "/etc/f.toml:4:7: module.web.log");
    CHECK(settings.files[1].path == "/var/b.log");
    CHECK(settings.files[1].place == "/etc/f.toml:7:7: module.web.main.log");
    CHECK(settings.files[2].path == "stdout");
    CHECK(settings.files[2].place == "/etc/f.toml:11:7: module.web.site[1].log");
}

TEST_CASE("there are at most so many") {
    std::string text = main_pool;
    for (std::size_t i = 0; i <= max_files; ++i)
        text += "[[module.web.site]]\nlog = \"" + std::to_string(i) + "\"\n";
    const CheckedConfiguration checked = check(text);
    REQUIRE(checked.findings.size() == 1);
    CHECK(checked.findings.front().find("more than 64 files") != std::string::npos);
}

TEST_CASE("where a file is named is no change") {
    const CheckedConfiguration running = check(files);
    const Image image = Image::view(running.image);
    const std::vector<ModuleDeclaration> modules{{.name = "web", .options = &Web::options()},
                                                 {.name = "other", .options = &Web::options()}};
    const auto next = check_document(parse_toml("\n\n" + files, "/etc/f.toml"), modules, &image);
    CHECK(next.difference.change == Change::none);
}

TEST_CASE("an image may name files that its file names at the same place, and no others") {
    CHECK(allowed(files, files));
    const std::string log = main_pool + "[module.web]\nlog = \"a\"\n";
    CHECK(allowed(log, log));
    CHECK_FALSE(allowed(main_pool, log));
    CHECK_FALSE(allowed(main_pool + "[module.web]\nlog = \"ab\"\n", log));
    CHECK_FALSE(allowed(main_pool + "[module.web]\nlog = \"aa\"\n[module.other]\nlog = \"a\"\n", log));
    CHECK_FALSE(allowed(main_pool + "[module.web]\n\nlog = \"a\"\n", log));
    CHECK_FALSE(allowed("[master]\nuser = \"a\"\n" + main_pool, "[master]\nuser = \"a\"\n" + log));
    CHECK_FALSE(allowed("[master]\nuser = \"b\"\n" + main_pool, "[master]\nuser = \"a\"\n" + main_pool));
}

TEST_CASE("texts of other keys are no files, and are not sent") {
    const std::string title =
        main_pool + "[module.web]\ntitle = \"a\"\n[[module.web.route]]\nroot = \"/etc\"\n";
    CHECK(privileged_files(parse_toml(title, "/etc/f.toml")).empty());
    CHECK_FALSE(
        allowed(main_pool + "[module.web]\ntitle = \"a\"\n", main_pool + "[module.web]\nlog = \"a\"\n"));
    CHECK(privileged_files(parse_toml("module = 1\n", "/etc/f.toml")).empty());
    CHECK(privileged_files(parse_toml("[module]\nweb = \"a_log\"\n", "/etc/f.toml")).empty());
}

TEST_CASE("rights with anything behind them, or cut, allow no file") {
    const std::string text = main_pool + "[module.web]\nlog = \"a\"\n";
    const CheckedConfiguration checked = check(text);
    const Image image = Image::view(checked.image);
    const Settings settings = Settings::load(image);
    const std::string rights = rights_of(text);
    CHECK(allows(rights, settings));
    for (const char* more : {"x", "\n", "file 1 a\n", "module 3 web\nplace 1 x\nfile 99 a\n",
                             "module 18446744073709551615 web\n", "module  3 web\n", "module"})
        CHECK_MESSAGE(!allows(rights + more, settings), more);
    for (std::size_t size = 0; size < rights.size(); ++size)
        CHECK_FALSE(allows(rights.substr(0, size), settings));
}

TEST_CASE("an image that gives the path of a unix socket to others is not its file's") {
    const auto pool = [](const std::string& rights) {
        return "[pool.main]\nmodules = [\"web\"]\n[[pool.main.listen]]\naddress = \"unix:s\"\n"
               "module = \"web\"\n" +
               rights;
    };
    CHECK(allowed(pool(""), pool("")));
    const std::vector<std::string> all{"", "unix_mode = \"0600\"\n", "unix_owner = \"7\"\n",
                                       "unix_group = \"7\"\n"};
    for (const std::string& by : all)
        for (const std::string& text : all)
            CHECK_MESSAGE(allowed(pool(by), pool(text)) == (by == text), by << text);
    CHECK(allowed(pool("unix_owner = \"root\"\n"), pool("unix_owner = \"0\"\n")));
}

TEST_CASE("an image whose relative paths start elsewhere is not its file's") {
    const std::string text = main_pool + "[module.web]\nlog = \"a\"\n";
    const CheckedConfiguration checked = check(text);
    const Image image = Image::view(checked.image);
    Settings settings = Settings::load(image);
    CHECK(allows(rights_of(text), settings));
    settings.directory = "/etc/cron.d";
    CHECK_FALSE(allows(rights_of(text), settings));
}

TEST_CASE("such a file may be all that log_file may be, and is refused for the same faults") {
    const auto settings_of = [](const std::string& value) {
        const CheckedConfiguration checked = check(main_pool + "[module.web]\nlog = \"" + value + "\"\n");
        REQUIRE(checked.findings.empty());
        return Settings::load(Image::view(checked.image)).files.at(0).path;
    };
    for (const char* value : {"stdout", "stderr", "journal", "journal:/run/j", "fifo:/x", "/dev/stdout"})
        CHECK(settings_of(value) == value);
    CHECK(settings_of("./stderr") == "/etc/stderr");
    CHECK(settings_of("fifo:x") == "fifo:/etc/x");
    const CheckedConfiguration refused = check(main_pool + "[module.web]\nlog = \"fifo:\"\n");
    REQUIRE(refused.findings.size() == 1);
    CHECK_MESSAGE(
        refused.findings.front().find("needs a path, such as \"fifo:/run/drover.log\"") != std::string::npos,
        refused.findings.front());
}

TEST_CASE("the names that such options may have") {
    for (const char* name : {"log", "log_file", "access_log", "access_log_file"})
        CHECK(may_be_master_file(name));
    for (const char* name : {"", "root", "logs", "catalog", "log_level", "tls_key"})
        CHECK_FALSE(may_be_master_file(name));
}
