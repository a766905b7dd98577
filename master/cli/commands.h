// The table of commands and options that the command line has. What it parses, what its help says, completion
// and the manual page (master/cli/manual.h) come from here. Runs in: the command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

enum class CommandId : std::uint8_t {
    run,
    check,
    reload,
    stop,
    quit,
    reopen,
    workers,
    worker,
    status,
    top,
    events,
    config,
    create,
    version,
    help
};

enum class OptionId : std::uint8_t {
    config,
    control,
    json,
    once,
    fresh,
    probation,
    pool,
    follow,
    last,
    counters,
    help,
    version
};

struct CommandOption {
    OptionId id;
    std::string_view flags;  // "-c,--config"
    std::string_view value;  // "FILE"; empty: a flag
    std::string_view summary;
    bool everywhere = false;  // every command takes it

    std::string_view long_name() const noexcept { return flags.substr(flags.rfind("--")); }
};

struct Command {
    CommandId id;
    std::string_view name;
    std::string_view summary;   // one line
    std::string_view details;   // sentences
    std::string_view argument;  // words that stand after it: "restart POOL/SLOT"; empty: none
    std::vector<OptionId> options;
    std::size_t least_words = 0;
    std::size_t most_words = 0;

    bool takes(const CommandOption& option) const noexcept;
};

std::span<const Command> all_commands();
std::span<const CommandOption> all_options() noexcept;

// What `help` explains beside commands: "config", ...
std::span<const std::string_view> help_topics() noexcept;

const Command* find_command(std::string_view name) noexcept;
std::vector<std::string> command_names();

// What `PROGRAM help` and `PROGRAM help COMMAND` print.
std::string usage_text(std::string_view program);
std::string command_usage_text(std::string_view program, const Command& command);

}  // namespace drover
