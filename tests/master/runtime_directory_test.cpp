#include "master/runtime_directory.h"

#include "tests/support/temporary_folder.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include <doctest/doctest.h>

using namespace drover;
using namespace drover::test;
namespace fs = std::filesystem;

TEST_CASE("a directory that was made is removed again, unless something else has come into it") {
    const TemporaryFolder folder;
    const std::string path = folder.file("run");
    {
        const RuntimeDirectory directory(path);
        CHECK(fs::is_directory(path));
        CHECK(directory.file("x") == path + "/x");
    }
    CHECK_FALSE(fs::exists(path));
    {
        const RuntimeDirectory directory(path);
        std::ofstream(directory.file("other")) << "x";
    }
    CHECK(fs::exists(path + "/other"));
    { const RuntimeDirectory directory(path); }
    CHECK(fs::exists(path));
}

TEST_CASE("what is no directory, or cannot be made, is an error that names it") {
    const TemporaryFolder folder;
    std::ofstream(folder.file("file")) << "x";
    CHECK_THROWS_AS(RuntimeDirectory(folder.file("file")), std::system_error);
    CHECK_THROWS_AS(RuntimeDirectory(folder.file("missing/run")), std::system_error);
}
