// `drover check` finds what `run` would refuse, with the key's place, and touches nothing.
#include "tests/support/contains.h"
#include "tests/support/master_under_test.h"
#include "tests/support/skipped.h"

#include <algorithm>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>
#include <unistd.h>

namespace drover::test {
namespace {

CommandResult check(const std::string& path) {
    return run_command({DROVER_PROGRAM, "check", "-c", path});
}

}  // namespace

TEST_CASE("check names all that this machine would refuse, and ends with 1: the file itself is good") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path,
               "[master]\nlog_file = \"none/drover.log\"\n"
               "[pool.main]\nmodules = [\"http\"]\ncpu_affinity = \"1000\"\n"
               "[[pool.main.listen]]\naddress = \"192.0.2.7:8080\"\nmodule = \"http\"\n"
               "[module.http]\naccess_log = \"/none/access.log\"\n"
               "[[module.http.route]]\npath = \"/\"\nreturn = { body = \"x\" }\n");
    const CommandResult result = check(path);
    CHECK(result.code() == 1);
    CHECK(result.output.empty());
    for (const char* const fault :
         {":2:12: master.log_file: open ", ":5:16: pool.main.cpu_affinity: bind to processor 1000: ",
          ":7:11: pool.main.listen[0].address: bind 192.0.2.7:8080: Cannot assign requested address; "
          "freebind = "
          "true listens on an address that the machine does not have yet\n",
          ":10:14: module.http.access_log: open /none/access.log: No such file or directory\n"})
        CHECK_MESSAGE(contains(result.errors, path + fault), result.errors);
    const auto entries = std::filesystem::directory_iterator(folder.path());
    CHECK(std::distance(begin(entries), end(entries)) == 1);
}

TEST_CASE("a text that is no log because the module has declared none is left alone") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path, "[pool.main]\nmodules = [\"echo\"]\n[module.http]\naccess_log = \"/none/access.log\"\n");
    CHECK_MESSAGE(check(path).code() == 0, check(path).errors);
}

TEST_CASE("a user that is not there is named with the key's place") {
    if (lacks_root()) return;
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path, "[master]\nuser = \"nobody-of-this-name\"\n[pool.main]\nmodules = [\"echo\"]\n");
    const CommandResult result = check(path);
    CHECK(result.code() == 78);
    CHECK_MESSAGE(result.errors.starts_with(path + ":2:8: master.user: "), result.errors);
    CHECK(contains(result.errors, "there is no such user"));
}

TEST_CASE("check names what is wrong in one go, whatever kind it is of, in the order of the file") {
    if (lacks_root()) return;
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path,
               "[master]\nuser = \"nobody-of-this-name\"\nlog_file = \"none/drover.log\"\n"
               "[pool.main]\nworkers = 0\nmodules = [\"http\", \"./none.so\"]\n"
               "[[pool.main.listen]]\naddress = \"192.0.2.7:80\"\nmodule = \"http\"\n"
               "[[pool.main.listen]]\naddress = \"${DROVER_NONE}\"\nmodule = \"http\"\n"
               "[module.http]\naccess_log = \"/none/access.log\"\n"
               "[[module.http.route]]\npath = \"/\"\nroot = \"/none\"\n[module.of_the_library]\n");
    const CommandResult result = check(path);
    CHECK(result.code() == 78);
    std::size_t at = 0;
    for (const char* const fault :
         {":2:8: master.user: user \"nobody-of-this-name\": there is no such user",
          ":3:12: master.log_file: open ", ":5:11: pool.main.workers: 0 is out of bounds",
          ":8:11: pool.main.listen[0].address: bind 192.0.2.7:80: Cannot assign requested address",
          ":11:11: the environment has no DROVER_NONE;",
          ":14:14: module.http.access_log: open /none/access.log: No such file",
          ":17:8: module.http.route[0].root: \"/none\" cannot be used as a directory: No such file"}) {
        at = result.errors.find(path + fault, at);
        REQUIRE_MESSAGE(at != std::string::npos, fault << " in\n" << result.errors);
    }
    CHECK(std::ranges::count(result.errors, '\n') == 7);
}

TEST_CASE("an entry of environment that names no variable is a finding, and nothing else") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path, "[master]\nenvironment = [\"=x\"]\n[pool.main]\n");
    const CommandResult result = check(path);
    CHECK(result.code() == 78);
    CHECK(result.errors.find(path + ":2:16: master.environment: \"\" is no name") != std::string::npos);
    CHECK(std::ranges::count(result.errors, '\n') == 1);
}

TEST_CASE("a root that is missing hides nothing that a module finds in the file, which is bad then") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path,
               "[pool.main]\nmodules = [\"http\"]\n[[pool.main.listen]]\naddress = \"127.0.0.1:0\"\n"
               "module = \"http\"\n[[module.http.route]]\npath = \"/\"\nroot = \"/none\"\n"
               "[[module.http.route]]\npath = \"/a\"\n");
    const CommandResult result = check(path);
    CHECK(result.code() == 78);
    CHECK(result.errors.find("\"/none\" cannot be used as a directory") != std::string::npos);
    CHECK(result.errors.find("needs one of \"return\"") != std::string::npos);
}

TEST_CASE("a library that cannot be loaded hides no other finding") {
    const TemporaryFolder folder;
    const std::string path = folder.file("drover.toml");
    write_file(path,
               "[pool.main]\nworkers = 0\nmodules = [\"./none.so\"]\n"
               "[[pool.main.listen]]\naddress = \"127.0.0.1:0\"\nmodule = \"of_the_library\"\n"
               "[module.of_the_library]\n");
    const CommandResult result = check(path);
    CHECK(result.code() == 78);
    CHECK(contains(result.errors, path + ":2:11: pool.main.workers: "));
    CHECK(contains(result.errors, path + ":3:12: \"./none.so\": "));
    CHECK(std::ranges::count(result.errors, '\n') == 2);
}

TEST_CASE("the configuration of a service that runs is valid: its ports and its sockets are its own") {
    MasterUnderTest master({.workers = 1, .log_file = "drover.log"});
    const CommandResult result = master.cli({"check"});
    CHECK_MESSAGE(result.code() == 0, result.errors);
    CHECK(result.output == "configuration is valid\n");
    CHECK(master.get() == "first");
    master.finish();
}

}  // namespace drover::test
