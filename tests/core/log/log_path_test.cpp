#include "core/log/log_path.h"

#include "core/base/system_error.h"
#include "tests/core/log/log_reading.h"
#include "tests/support/contains.h"
#include "tests/support/skipped.h"
#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

constexpr uid_t nobody = 65534;

// Why the path is refused; "" when it is not.
std::string refusal(const std::string& path, UniqueFd (*open)(const std::string&) = open_log_path) {
    try {
        open(path);
        return "";
    } catch (const std::system_error& failure) {
        return failure.what();
    }
}

// A folder of root's with a log of root's in it, and one of nobody's.
struct Folders {
    TemporaryFolder folder;
    std::string own = make("own", 0);
    std::string others = make("others", nobody);

    std::string make(const char* name, uid_t owner) const {
        const std::string path = folder.file(name);
        std::filesystem::create_directory(path);
        check_call(::chown(path.c_str(), owner, owner), "chown", path);
        check_call(::chmod(path.c_str(), 0755), "chmod", path);
        std::ofstream(path + "/log") << "";
        return path;
    }
};

}  // namespace

TEST_CASE("what is no log file is refused, whoever asks") {
    const TemporaryFolder folder;
    CHECK(contains(refusal(folder.path()), "it is a directory"));
    CHECK(contains(refusal("/dev/zero"), "a device other than a terminal"));
    CHECK(contains(refusal(""), "No such file"));
    CHECK(contains(refusal(folder.file("none/a")), "No such file"));
    CHECK(refusal("/dev/null").empty());
    const std::string path = folder.file("a");
    CHECK(refusal(folder.file("x/../a")).find("No such file") != std::string::npos);
    CHECK(refusal(folder.path() + "//./a").empty());
    CHECK(std::filesystem::exists(path));
    CHECK(contains(refusal(path, open_log_fifo), "it is no FIFO"));
}

TEST_CASE("root follows links in folders that are root's alone, on the way and at the end") {
    if (lacks_root()) return;
    const Folders folders;
    std::filesystem::create_directory_symlink(folders.own, folders.folder.file("way"));
    std::filesystem::create_symlink("../own/log", folders.own + "/relative");
    std::filesystem::create_symlink(folders.folder.file("way/relative"), folders.own + "/absolute");
    REQUIRE(::write(open_log_path(folders.folder.file("way/absolute")).get(), "x", 1) == 1);
    CHECK(content_of(folders.own + "/log") == "x");
    std::filesystem::create_symlink("loop", folders.own + "/loop");
    CHECK(contains(refusal(folders.own + "/loop"), "Too many levels of symbolic links"));
    std::filesystem::create_symlink("/", folders.own + "/root");
    CHECK(contains(refusal(folders.own + "/root"), "it is a directory"));
    std::filesystem::create_symlink("missing", folders.own + "/new");
    CHECK(refusal(folders.own + "/new").empty());
    CHECK(std::filesystem::exists(folders.own + "/missing"));
}

TEST_CASE("root follows no link that others may have put on the way") {
    if (lacks_root()) return;
    const Folders folders;
    std::filesystem::create_directory_symlink(folders.own, folders.others + "/logs");
    CHECK(
        contains(refusal(folders.others + "/logs/log"), "logs is a symbolic link that is not root's alone"));
    CHECK(contains(refusal(folders.others + "/logs/fifo", open_log_fifo), "logs is a symbolic link"));
    CHECK_FALSE(std::filesystem::exists(folders.own + "/fifo"));
    CHECK(refusal(folders.others + "/log").empty());
    REQUIRE(::chmod(folders.others.c_str(), 01777) == 0);
    CHECK(refusal(folders.others + "/logs/log").empty());  // root's, in a sticky folder
    REQUIRE(::lchown((folders.others + "/logs").c_str(), nobody, nobody) == 0);
    CHECK(contains(refusal(folders.others + "/logs/log"), "symbolic link"));
}

TEST_CASE("root appends to no file that another has put in the log's place") {
    if (lacks_root()) return;
    constexpr uid_t other = 65533;
    const TemporaryFolder folder;
    const std::string logs = folder.file("logs");
    const std::string log = logs + "/a";
    std::filesystem::create_directory(logs);
    REQUIRE(::chown(logs.c_str(), nobody, nobody) == 0);
    std::ofstream(folder.file("secret")) << "secret";
    const auto refused = [&](const std::string& reason) {
        const auto expect_refusal = [&](const auto& attempt) {
            std::string text;
            try {
                attempt();
            } catch (const std::system_error& failure) {
                text = failure.what();
            }
            CHECK_MESSAGE(text.find(reason) != std::string::npos, text);
        };
        expect_refusal([&] { check_log_path(log); });
        expect_refusal([&] { open_log_path(log); });
        std::filesystem::remove(log);
    };
    REQUIRE(::symlink(folder.file("secret").c_str(), log.c_str()) == 0);
    refused("symbolic link");
    REQUIRE(::symlink(folder.file("nowhere").c_str(), log.c_str()) == 0);
    refused("symbolic link");
    CHECK_FALSE(std::filesystem::exists(folder.file("nowhere")));
    REQUIRE(::link(folder.file("secret").c_str(), log.c_str()) == 0);
    refused("hard link");
    REQUIRE(::mkfifo(log.c_str(), 0600) == 0);
    refused("it is a FIFO");
    std::ofstream(log) << "";
    REQUIRE(::chown(log.c_str(), other, other) == 0);
    refused("neither root's nor the folder's owner's");

    for (const uid_t owner : {uid_t{0}, nobody}) {
        std::ofstream(log) << "";
        REQUIRE(::chown(log.c_str(), owner, 0) == 0);
        CHECK_NOTHROW(open_log_path(log));
    }
    REQUIRE(::chmod(logs.c_str(), 0777) == 0);
    refused("everybody may write to its folder");
    REQUIRE(::chmod(logs.c_str(), 01777) == 0);
    CHECK_NOTHROW(open_log_path(log));
    REQUIRE(::chown(log.c_str(), nobody, 0) == 0);
    refused("neither root's nor the folder's owner's");
    CHECK_NOTHROW(open_log_path("/dev/null"));
}
