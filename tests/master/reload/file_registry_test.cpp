#include "master/reload/file_registry.h"

#include "tests/support/open_fds.h"
#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace drover;
using namespace drover::test;

namespace {

void append(const OpenedFile& file, const std::string& text) {
    REQUIRE(::write(file.fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("who names one path gets one file, as long as somebody holds it") {
    const TemporaryFolder folder;
    const std::size_t before = count_open_fds();
    FileRegistry registry;
    auto one = registry.acquire(folder.file("a"));
    const auto same = registry.acquire(folder.file("a"));
    const auto other = registry.acquire(folder.file("b"));
    CHECK(one == same);
    CHECK(one != other);
    CHECK(one->name == folder.file("a"));
    CHECK((::fcntl(one->fd.get(), F_GETFL) & O_APPEND) != 0);
    CHECK((::fcntl(one->fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    struct stat status {};
    REQUIRE(::stat(one->name.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0640);
    CHECK(count_open_fds() == before + 2);
    CHECK_THROWS_AS(registry.acquire(folder.file("nowhere/a")), std::system_error);
}

TEST_CASE("a file whose name means another one, or none, has moved") {
    const TemporaryFolder folder;
    FileRegistry registry;
    const auto file = registry.acquire(folder.file("a"));
    CHECK_FALSE(FileRegistry::moved({file}));
    std::filesystem::rename(folder.file("a"), folder.file("b"));
    CHECK(FileRegistry::moved({file}));
    registry.reopen({file});
    CHECK_FALSE(FileRegistry::moved({file}));
    std::filesystem::remove(folder.file("a"));
    CHECK(FileRegistry::moved({file}));
    CHECK_FALSE(FileRegistry::moved({}));
}

TEST_CASE("a file that nobody holds is closed, and not opened anew") {
    const TemporaryFolder folder;
    const std::size_t before = count_open_fds();
    FileRegistry registry;
    registry.acquire(folder.file("a"));
    CHECK(count_open_fds() == before);
    std::filesystem::remove(folder.file("a"));
    CHECK(registry.reopen({}).empty());
    CHECK_FALSE(std::filesystem::exists(folder.file("a")));
}

TEST_CASE("reopening follows the name; when a needed file cannot be had all stay") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.file("logs"));
    FileRegistry registry;
    const auto a = registry.acquire(folder.file("a"));
    const auto b = registry.acquire(folder.file("logs/b"));
    append(*a, "1");
    std::filesystem::rename(folder.file("a"), folder.file("a.1"));
    std::filesystem::rename(folder.file("logs"), folder.file("moved"));
    CHECK_THROWS_AS(registry.reopen({a, b}), std::system_error);
    append(*a, "2");
    append(*b, "3");
    CHECK(read_file(folder.file("a.1")) == "12");
    CHECK(read_file(folder.file("moved/b")) == "3");
    std::filesystem::create_directory(folder.file("logs"));
    CHECK(registry.reopen({a, b}).empty());
    append(*a, "4");
    append(*b, "5");
    CHECK(read_file(folder.file("a.1")) == "12");
    CHECK(read_file(folder.file("a")) == "4");
    CHECK(read_file(folder.file("logs/b")) == "5");
}

TEST_CASE("a file that only a leaving generation has holds nobody up") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.file("logs"));
    FileRegistry registry;
    const auto a = registry.acquire(folder.file("a"));
    const auto old = registry.acquire(folder.file("logs/b"));
    std::filesystem::rename(folder.file("a"), folder.file("a.1"));
    std::filesystem::rename(folder.file("logs"), folder.file("moved"));
    const std::vector<std::string> failures = registry.reopen({a});
    REQUIRE(failures.size() == 1);
    CHECK(failures.front().find("logs/b") != std::string::npos);
    append(*a, "1");
    append(*old, "2");
    CHECK(read_file(folder.file("a")) == "1");
    CHECK(read_file(folder.file("moved/b")) == "2");
}

TEST_CASE("who asks for a name that means another file by now gets that") {
    const TemporaryFolder folder;
    FileRegistry registry;
    const auto before = registry.acquire(folder.file("a"));
    std::filesystem::rename(folder.file("a"), folder.file("a.1"));
    const auto after = registry.acquire(folder.file("a"));
    CHECK(after != before);
    CHECK(registry.acquire(folder.file("a")) == after);
    append(*before, "1");
    append(*after, "2");
    CHECK(read_file(folder.file("a.1")) == "1");
    CHECK(read_file(folder.file("a")) == "2");
}
