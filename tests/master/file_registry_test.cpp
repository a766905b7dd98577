#include "master/file_registry.h"

#include "tests/support/open_fds.h"
#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

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
    CHECK(one->path == folder.file("a"));
    CHECK((::fcntl(one->fd.get(), F_GETFL) & O_APPEND) != 0);
    CHECK((::fcntl(one->fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    struct stat status {};
    REQUIRE(::stat(one->path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0640);
    CHECK(count_open_fds() == before + 2);
    CHECK_THROWS_AS(registry.acquire(folder.file("nowhere/a")), std::system_error);
}

TEST_CASE("a file that nobody holds is closed, and not opened anew") {
    const TemporaryFolder folder;
    const std::size_t before = count_open_fds();
    FileRegistry registry;
    registry.acquire(folder.file("a"));
    CHECK(count_open_fds() == before);
    std::filesystem::remove(folder.file("a"));
    registry.reopen();
    CHECK_FALSE(std::filesystem::exists(folder.file("a")));
}

TEST_CASE("reopening follows the name; when one file cannot be had all stay") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.file("logs"));
    FileRegistry registry;
    const auto a = registry.acquire(folder.file("a"));
    const auto b = registry.acquire(folder.file("logs/b"));
    append(*a, "1");
    std::filesystem::rename(folder.file("a"), folder.file("a.1"));
    std::filesystem::rename(folder.file("logs"), folder.file("moved"));
    CHECK_THROWS_AS(registry.reopen(), std::system_error);
    append(*a, "2");
    append(*b, "3");
    CHECK(read_file(folder.file("a.1")) == "12");
    CHECK(read_file(folder.file("moved/b")) == "3");
    std::filesystem::create_directory(folder.file("logs"));
    registry.reopen();
    append(*a, "4");
    append(*b, "5");
    CHECK(read_file(folder.file("a.1")) == "12");
    CHECK(read_file(folder.file("a")) == "4");
    CHECK(read_file(folder.file("logs/b")) == "5");
}
