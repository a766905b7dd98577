// What `drover new` writes, built and tested against the installed tree.
#include "tests/support/master_under_test.h"

#include <filesystem>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

const std::string program = std::string(DROVER_PREFIX) + "/bin/drover";

std::string run(const std::vector<std::string>& words) {
    const CommandResult result = run_command(words, {}, Deadline(std::chrono::seconds(120)));
    CHECK_MESSAGE(result.code() == 0, words.front() << ": " << result.output << result.errors);
    return result.output;
}

}  // namespace

TEST_CASE("a new module builds, passes its test and serves") {
    const TemporaryFolder folder;
    std::filesystem::current_path(folder.path());
    CHECK(run({program, "new", "my_app"}).starts_with("my_app is written."));
    run({"cmake", "-S", "my_app", "-B", "build", std::string("-DCMAKE_PREFIX_PATH=") + DROVER_PREFIX,
         std::string("-DCMAKE_CXX_COMPILER=") + DROVER_COMPILER,
         "-DCMAKE_CXX_FLAGS=-O1 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"});
    run({"cmake", "--build", "build", "-j2"});
    CHECK(run({"ctest", "--test-dir", "build"}).find("100% tests passed, 0 tests failed out of 2") !=
          std::string::npos);
    // Its test can fail.
    std::string source = read_file("my_app/my_app_module.cpp");
    source.replace(source.find("\"!\\n\""), 5, "\"?\\n\"");
    write_file("my_app/my_app_module.cpp", source);
    run({"cmake", "--build", "build", "-j2"});
    CHECK(run_command({"ctest", "--test-dir", "build"}).code() != 0);

    MasterUnderTest master({}, {.program = folder.file("build/my_app"), .prepare = [](MasterUnderTest& made) {
                                    std::string text = read_file("my_app/my_app.toml");
                                    const std::string address = "127.0.0.1:9000";
                                    text.replace(text.find(address), address.size(),
                                                 "127.0.0.1:" + std::to_string(made.http_port()));
                                    made.write_config_text(text);
                                }});
    StreamClient client = StreamClient::connect_tcp(master.http_port());
    client.send("Ada\n");
    CHECK(client.read_until("\n") == "Hello, Ada?\n");
    CHECK(master.control("reload").ok);
    CHECK(master.status().counters.at("my_app_lines_total") == 1);
    CHECK(run({folder.file("build/my_app"), "help", "config"}).find("What every answer begins with.") !=
          std::string::npos);
    client.finish_sending();
    CHECK(client.ended());
    master.finish();
    std::filesystem::current_path("/");
}

TEST_CASE("new refuses what is there, and what is no name") {
    const TemporaryFolder folder;
    std::filesystem::current_path(folder.path());
    std::filesystem::create_directory("taken");
    const CommandResult taken = run_command({program, "new", "taken"});
    CHECK(taken.code() == 1);
    CHECK(taken.errors == "drover: \"taken\" is there already\n");
    CHECK(std::filesystem::is_empty("taken"));
    CHECK(run_command({program, "new", "Not-A-Name"}).code() == 2);
    CHECK_FALSE(std::filesystem::exists("Not-A-Name"));
    std::filesystem::current_path("/");
}

}  // namespace drover::test
