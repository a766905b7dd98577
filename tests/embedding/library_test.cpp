// The installed library by other ways than find_package(drover): pkg-config and plain compiler calls, the
// shared library, and every header in one program.
#include "tests/support/master_under_test.h"

#include <filesystem>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

const std::string prefix = DROVER_PREFIX;
const std::string hello = std::string(DROVER_SOURCE_DIR) + "/examples/hello/hello.cpp";

std::string run_shell(const std::string& command) {
    const CommandResult result =
        run_command({"bash", "-c", command}, {}, Deadline(std::chrono::seconds(120)));
    CHECK_MESSAGE(result.code() == 0, command << ": " << result.errors);
    return result.output;
}

std::string library_folder() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(prefix))
        if (entry.path().filename() == "libdrover.so") return entry.path().parent_path();
    return {};
}

// `pkg-config` that knows the installed tree.
std::string pkg_config() {
    return "PKG_CONFIG_PATH=" + library_folder() + "/pkgconfig pkg-config";
}

void serve(const std::string& program) {
    MasterUnderTest master({},
                           {.program = program,
                            .environment = {"LD_LIBRARY_PATH=" + library_folder()},
                            .prepare = [](MasterUnderTest& made) {
                                made.write_config_text(
                                    "[pool.main]\nworkers = 1\nmodules = [\"hello\"]\n[[pool.main.listen]]\n"
                                    "module = \"hello\"\naddress = \"127.0.0.1:" +
                                    std::to_string(made.http_port()) + "\"\n");
                            }});
    StreamClient client = StreamClient::connect_tcp(master.http_port());
    client.send("Ada\n");
    CHECK(client.read_until("\n") == "Hello, Ada!\n");
    client.finish_sending();
    CHECK(client.ended());
    master.finish();
}

}  // namespace

TEST_CASE("pkg-config and a compiler are enough, with the shared library") {
    const TemporaryFolder folder;
    const std::string program = folder.file("hello");
    run_shell(DROVER_COMPILER " -std=c++20 -O1 -Wall -Wextra -Werror " + hello + " -o " + program + " $(" +
              pkg_config() + " --cflags --libs drover)");
    CHECK(run_shell("readelf -d " + program).find("[libdrover.so.0.1]") != std::string::npos);
    serve(program);
}

TEST_CASE("pkg-config names what the archive needs") {
    const TemporaryFolder folder;
    const std::string program = folder.file("hello");
    run_shell(DROVER_COMPILER " -std=c++20 -O1 " + hello + " -o " + program + " $(" + pkg_config() +
              " --static --cflags --libs drover | sed 's/-ldrover/-l:libdrover.a/')");
    CHECK(run_shell("readelf -d " + program).find("libdrover") == std::string::npos);
    serve(program);
}

TEST_CASE("an installation writes nothing into the build tree but the list that is CMake's own") {
    const TemporaryFolder folder;
    write_file(folder.file("stamp"), "");
    run_shell("cmake --install " DROVER_BUILD_DIR " --component development --prefix " +
              folder.file("prefix"));
    CHECK(run_shell("find " DROVER_BUILD_DIR " -type f -newer " + folder.file("stamp") +
                    " -path '*install*' -not -path '*/installed/*'") == DROVER_BUILD_DIR
          "/install_manifest_development.txt\n");
    const std::string list = read_file(DROVER_BUILD_DIR "/install_manifest_development.txt");
    CHECK(list.find(folder.file("prefix/include/drover/module.h") + "\n") != std::string::npos);
    CHECK(list.find("/pkgconfig/drover.pc") != std::string::npos);
}

TEST_CASE("folders of the library and the headers may be absolute") {
    const TemporaryFolder folder;
    const auto installed_pc = [&](const std::string& stage) {
        run_shell("DESTDIR=" + stage + " cmake -DDROVER_SOURCE_DIR=" DROVER_SOURCE_DIR " -DDROVER_LIBDIR=" +
                  folder.file("lib") + " -DDROVER_INCLUDEDIR=" + folder.file("headers") +
                  " -DCMAKE_INSTALL_PREFIX=/usr -DPC_DESCRIPTION=d -DPC_VERSION=0.1.0 -P " DROVER_SOURCE_DIR
                  "/cmake/install_pc.cmake");
        return stage + folder.file("lib/pkgconfig");
    };
    const auto asked = [&](const std::string& what) {
        return run_shell("PKG_CONFIG_PATH=" + installed_pc("") + " pkg-config " + what + " drover");
    };
    CHECK(asked("--variable=includedir") == folder.file("headers") + "\n");
    CHECK(asked("--variable=libdir") == folder.file("lib") + "\n");
    CHECK(asked("--libs-only-other").find("-Wl,-rpath," + folder.file("lib")) != std::string::npos);
    CHECK(asked("--variable=prefix") == "/usr\n");
    CHECK(std::filesystem::exists(installed_pc(folder.file("stage")) + "/drover.pc"));
}

TEST_CASE("find_package knows components, and says what it has not") {
    const TemporaryFolder folder;
    const auto configure = [&](const std::string& arguments) {
        write_file(
            folder.file("CMakeLists.txt"),
            "cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES CXX)\nfind_package(drover " +
                arguments +
                ")\nget_target_property(of drover::drover ALIASED_TARGET)\nmessage(STATUS \"is ${of}\")\n");
        return run_command({"cmake", "-S", folder.path(), "-B", folder.file("build"), "--fresh",
                            std::string("-DCMAKE_PREFIX_PATH=") + DROVER_PREFIX,
                            std::string("-DCMAKE_CXX_COMPILER=") + DROVER_COMPILER});
    };
    CHECK(configure("0.1 REQUIRED").output.find("is drover::static") != std::string::npos);
    CHECK(configure("REQUIRED COMPONENTS shared").output.find("is drover::shared") != std::string::npos);
    CHECK(configure("REQUIRED COMPONENTS static shared").output.find("is drover::static") !=
          std::string::npos);
    CHECK(configure("0.2 REQUIRED").code() != 0);
    const CommandResult unknown = configure("REQUIRED COMPONENTS coffee");
    CHECK(unknown.code() != 0);
    CHECK(unknown.errors.find("coffee") != std::string::npos);
}

TEST_CASE("all headers are there, and fit together in one file without a warning") {
    const TemporaryFolder folder;
    const std::string include = prefix + "/include";
    std::string source;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(include))
        if (entry.is_regular_file())
            source += "#include <" + entry.path().lexically_relative(include).string() + ">\n";
    CHECK(source.find("<drover/connection.h>") != std::string::npos);
    CHECK(source.find("<drover/http.h>") != std::string::npos);
    write_file(folder.file("all.cpp"), source);
    run_shell(DROVER_COMPILER
              " -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only -I" +
              include + " " + folder.file("all.cpp"));
}

}  // namespace drover::test
