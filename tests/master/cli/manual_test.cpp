#include "master/cli/manual.h"

#include "conf/options/reference.h"
#include "core/base/version.h"
#include "master/cli/commands.h"
#include "tests/support/contains.h"
#include "tests/support/temporary_folder.h"

#include <cstdio>

#include <doctest/doctest.h>

using namespace drover;
using drover::test::contains;

namespace {

// What the shell offers for the words after the program's name; the last one is being typed.
std::string offered(const std::string& words) {
    test::TemporaryFolder folder;
    test::write_file(folder.file("herd"), completion_script("herd-2"));
    test::write_file(folder.file("ask"), "source " + folder.file("herd") + "\nCOMP_WORDS=(herd-2 " + words +
                                             ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_herd_2\n"
                                             "echo \"${COMPREPLY[*]}\" >" +
                                             folder.file("reply") + "\n");
    const std::string command = "bash -u " + folder.file("ask");
    REQUIRE(std::system(command.c_str()) == 0);
    std::string reply = test::read_file(folder.file("reply"));
    reply.pop_back();
    return reply;
}

}  // namespace

TEST_CASE("the completion knows commands, their options and topics") {
    CHECK(offered("rel") == "reload");
    CHECK(offered("work") == "workers worker");
    CHECK(offered("status --j") == "--json");
    CHECK(offered("check --j") == "");
    CHECK(offered("--json status --co") == "--config --control --counters");
    CHECK(offered("help sch") == "schema");
    CHECK(offered("help relo") == "reload");
    CHECK(offered("worker re") == "restart");
    CHECK(offered("workers --pool ma") == "");
    CHECK(offered("check -c /etc/host") != "");
    CHECK(offered("''").starts_with("run check reload "));
}

TEST_CASE("the manual page says what the table says") {
    const std::string page = manual_page({"herd", "1.4"});
    CHECK(page.starts_with("herd(1) \"herd 1.4 (drover " + std::string(version()) + ")\"\n"));
    CHECK(manual_page({}).starts_with("drover(1) \"drover " + std::string(version()) + "\"\n"));
    for (const Command& command : all_commands())
        CHECK_MESSAGE(contains(page, "\n*" + std::string(command.name) + "*"), command.name);
    for (const CommandOption& option : all_options())
        CHECK_MESSAGE(contains(page, "*" + std::string(option.long_name()) + "*"), option.flags);
    CHECK(contains(page, "\n*status* \\[*-c* _FILE_] \\[*--control* _PATH_] \\[*--json*] "));
    CHECK(contains(page, "\n*herd.toml*(5)\n"));
}

TEST_CASE("what means something to scdoc is marked") {
    CHECK(manual_text("drain_timeout is *over*\\") == "drain\\_timeout is \\*over\\*\\\\");
    CHECK(manual_text("[a] - b") == "\\[a] - b");
    CHECK(manual_text("") == "");
    const std::string page = configuration_manual({.name = "herd"}, {});
    CHECK(page.starts_with("herd.toml(5) "));
    CHECK(contains(page, "\n# [master]\n"));
    CHECK(contains(page, "\n# [[pool.NAME.listen]]\n"));
    CHECK(contains(page, "\n*drain\\_timeout* = \"30s\"\n\tduration, "));
}
