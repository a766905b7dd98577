// A configuration of several files with values of the environment: start, reload, check and config mean the
// same.
#include "tests/support/contains.h"
#include "tests/support/http_client.h"
#include "tests/support/master_under_test.h"

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

namespace drover::test {
namespace {

void write_site(const MasterUnderTest& master, const std::string& body) {
    write_file(
        master.folder().file("conf.d/site.toml"),
        "[[module.http.route]]\npath = \"/site\"\nreturn = { status = \"${SITE_STATUS:-200}\", body = \"" +
            body + "\" }\n");
}

}  // namespace

TEST_CASE("included files and values of the environment, at the start and in a reload") {
    const TestConfig config{.rest = "[module.http]\nmax_body = \"${MAX_BODY}\"\n"};
    MasterUnderTest master(config, {.environment = {"MAX_BODY=64k", "SITE_BODY=of the environment"},
                                    .prepare = [&](MasterUnderTest& starting) {
                                        std::filesystem::create_directory(starting.folder().file("conf.d"));
                                        starting.write_config_text("include = [\"conf.d/*.toml\"]\n" +
                                                                   starting.config_text(config));
                                        write_site(starting, "first");
                                    }});
    const auto site = [&] { return http_get(master.http_port(), "/site"); };
    CHECK(site().body == "first");
    CHECK(contains(master.cli({"config"}).output, "max_body = \"64K\""));

    write_site(master, "${SITE_BODY}");
    REQUIRE(master.control("reload").ok);
    CHECK(site().body == "of the environment");

    write_site(master, "${SITE_NONE}");
    const std::string place = master.folder().file("conf.d/site.toml") + ":3:51: ";
    const std::string finding =
        place + "the environment has no SITE_NONE; set it, or write ${SITE_NONE:-default}";
    const ControlReply refused = master.control("reload");
    CHECK_FALSE(refused.ok);
    CHECK(contains(refused.text, finding));
    CHECK(site().body == "of the environment");
    // The command line has an environment of its own, and finds the master all the same.
    const CommandResult check = master.cli({"check"});
    CHECK(check.code() == 78);
    CHECK(contains(check.errors, finding));
    CHECK(contains(check.errors, "the environment has no MAX_BODY"));
    CHECK(master.cli({"status"}).code() == 0);

    write_site(master, "third");
    CHECK(master.cli({"reload"}).code() == 0);
    CHECK(site().body == "third");
    CHECK(master.cli({"check"}, {.environment = {"MAX_BODY=1M"}}).code() == 0);
    master.finish();
}

}  // namespace drover::test
