// What a reload renews beside the configuration: files that are kept open, and the directories they are in.
#include "tests/support/contains.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

// What stands in the cache is good for an hour.
TestConfig with_files() {
    return {.rest =
                "[[module.http.route]]\npath = \"/files/\"\nroot = \"public\"\n"
                "[module.http]\nopen_files_check = \"1h\"\n"};
}

void put(const MasterUnderTest& master, const std::string& name, const std::string& text) {
    const std::string path = master.folder().file(name);
    write_file(path + ".new", text);
    std::filesystem::rename(path + ".new", path);
}

}  // namespace

TEST_CASE("a file that was replaced is seen after a reload, whatever the reload changes") {
    TestConfig config = with_files();
    config.workers = 1;
    MasterUnderTest master(config, {.prepare = [](MasterUnderTest& starting) {
                               std::filesystem::create_directory(starting.folder().file("public"));
                               put(starting, "public/a", "one");
                           }});
    HttpClient client(master.http_port());
    CHECK(client.get("/files/a").body == "one");
    put(master, "public/a", "two");
    CHECK(client.get("/files/a").body == "one");
    const pid_t worker = master.worker_pids().front();

    REQUIRE(master.control("reload").ok);  // nothing has changed
    CHECK(client.get("/files/a").body == "two");
    put(master, "public/a", "three");
    CHECK(client.get("/files/a").body == "two");

    config.pool = "max_connections = 1000\n";  // hot, and nothing of http's
    master.write_config(config);
    REQUIRE(master.control("reload").ok);
    CHECK(client.get("/files/a").body == "three");
    put(master, "public/a", "four");

    config.body = "second";  // hot, of http
    master.write_config(config);
    REQUIRE(master.control("reload").ok);
    CHECK(client.get("/files/a").body == "four");
    CHECK(master.worker_pids().front() == worker);
    put(master, "public/a", "five");

    config.master = "reload = \"fresh\"\n";
    master.write_config(config);
    REQUIRE(master.control("reload").ok);
    CHECK(http_get(master.http_port(), "/files/a").body == "five");
    put(master, "public/a", "six");

    write_file(master.config_path(), "not a configuration");
    CHECK_FALSE(master.control("reload").ok);
    CHECK(http_get(master.http_port(), "/files/a").body == "five");
    master.finish();
}

TEST_CASE("a root that is a link is followed anew by a reload that changes nothing else") {
    const auto link = [](const MasterUnderTest& master, const std::string& to) {
        const std::string path = master.folder().file("public");
        std::filesystem::create_directory_symlink(to, path + ".new");
        std::filesystem::rename(path + ".new", path);
    };
    MasterUnderTest master(with_files(), {.prepare = [&](MasterUnderTest& starting) {
                               for (const std::string release : {"one", "two"}) {
                                   std::filesystem::create_directory(starting.folder().file(release));
                                   put(starting, release + "/a", release);
                               }
                               link(starting, "one");
                           }});
    CHECK(http_get(master.http_port(), "/files/a").body == "one");
    link(master, "two");
    CHECK(http_get(master.http_port(), "/files/a").body == "one");
    REQUIRE(master.control("reload").ok);
    for (int i = 0; i < 8; ++i)
        CHECK(http_get(master.http_port(), "/files/a").body == "two");
    // Without it a reload is refused, and the last one that was there goes on until it is looked up again.
    std::filesystem::remove(master.folder().file("public"));
    const ControlReply refused = master.control("reload");
    CHECK_FALSE(refused.ok);
    CHECK(contains(refused.text, "module.http.route[2].root: \"" + master.folder().file("public") +
                                     "\" cannot be used as a directory: No such file or directory"));
    CHECK(http_get(master.http_port(), "/files/a").body == "two");
    master.finish();
}

TEST_CASE("a root that goes costs its own route alone, and is found again when it is back") {
    TestConfig config = with_files();
    config.workers = 1;
    config.rest =
        "[module.http]\nopen_files_check = \"10ms\"\n"
        "[[module.http.route]]\npath = \"/files/\"\nroot = \"public\"\n";
    MasterUnderTest master(config, {.prepare = [](MasterUnderTest& starting) {
                               std::filesystem::create_directory(starting.folder().file("public"));
                               put(starting, "public/a", "one");
                           }});
    const std::string root = master.folder().file("public");
    const auto status = [&] { return http_get(master.http_port(), "/files/a").status; };
    CHECK(status() == 200);
    std::filesystem::rename(root, root + ".away");
    master.wait_until("the root is missed", [&] { return status() == 404; });
    master.wait_output("the root " + root +
                       " of the route /files/ cannot be opened: No such file or directory");
    const CommandResult check = master.cli({"check"});
    CHECK(check.code() == 1);
    CHECK(contains(check.errors, "module.http.route[2].root: \"" + root + "\" cannot be used"));

    const std::vector<pid_t> before = master.worker_pids();
    kill(before.front(), SIGKILL);
    master.wait_replaced(before);
    CHECK(master.get() == "first");
    CHECK(status() == 404);
    std::filesystem::rename(root + ".away", root);
    master.wait_until("the root is back", [&] { return status() == 200; });
    master.wait_output("the root " + root + " of the route /files/ is there again");
    master.finish();
}

}  // namespace drover::test
