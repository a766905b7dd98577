#include "master/cli/commands.h"

#include <algorithm>
#include <sstream>

#include <doctest/doctest.h>

using namespace drover;

TEST_CASE("every command can be found, and says what it is") {
    const std::vector<std::string> expected = {"run",    "check",   "reload", "stop",    "quit",
                                               "reopen", "workers", "worker", "status",  "top",
                                               "events", "config",  "new",    "version", "help"};
    CHECK(command_names() == expected);
    for (const Command& command : all_commands()) {
        CAPTURE(command.name);
        CHECK(find_command(command.name) == &command);
        CHECK_FALSE(command.summary.empty());
        CHECK_FALSE(command.summary.ends_with('.'));
    }
    CHECK(find_command("") == nullptr);
    CHECK(find_command("Run") == nullptr);
    CHECK(find_command("relo") == nullptr);
}

TEST_CASE("commands take what they use") {
    const auto takes = [](std::string_view command, OptionId id) {
        const auto option = std::ranges::find(all_options(), id, &CommandOption::id);
        REQUIRE(option != all_options().end());
        return find_command(command)->takes(*option);
    };
    CHECK(takes("run", OptionId::config));
    CHECK_FALSE(takes("run", OptionId::control));
    CHECK(takes("stop", OptionId::control));
    CHECK_FALSE(takes("stop", OptionId::json));
    CHECK(takes("status", OptionId::json));
    CHECK(takes("config", OptionId::json));
    CHECK_FALSE(takes("version", OptionId::config));
    for (const Command& command : all_commands())
        CHECK(takes(command.name, OptionId::help));
}

TEST_CASE("help names every command and option, in lines that fit") {
    const std::string usage = usage_text("herd");
    CHECK(usage.starts_with("Usage: herd COMMAND"));
    for (const Command& command : all_commands()) {
        CHECK(usage.find("\n  " + std::string(command.name) + " ") != usage.npos);
        CHECK(usage.find(command.summary) != usage.npos);
    }
    for (const CommandOption& option : all_options())
        CHECK(usage.find(option.long_name()) != usage.npos);

    const std::string status = command_usage_text("herd", *find_command("status"));
    CHECK(status.starts_with("Usage: herd status [OPTION...]\n"));
    CHECK(status.find("  -c, --config FILE ") != status.npos);
    CHECK(status.find("      --json ") != status.npos);
    const std::string check = command_usage_text("herd", *find_command("check"));
    CHECK(check.find("--json") == check.npos);
    CHECK(command_usage_text("herd", *find_command("help")).starts_with("Usage: herd help [COMMAND|TOPIC]"));

    std::istringstream lines(usage + status);
    for (std::string line; std::getline(lines, line);)
        CHECK(line.size() <= 110);
}
