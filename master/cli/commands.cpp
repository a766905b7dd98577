#include "master/cli/commands.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

namespace drover {

namespace {

constexpr std::array options = {
    CommandOption{OptionId::config, "-c,--config", "FILE",
                  "the configuration; default /etc/drover/drover.toml"},
    CommandOption{OptionId::control, "--control", "PATH",
                  "the master's control socket; default control.sock in FILE's runtime_dir"},
    CommandOption{OptionId::json, "--json", "", "print JSON"},
    CommandOption{OptionId::once, "--once", "", "print one view and end"},
    CommandOption{OptionId::fresh, "--fresh", "",
                  "start new workers even if running ones could take the change over"},
    CommandOption{OptionId::probation, "--probation", "",
                  "wait until the new generation has proved itself; exit with 1 when it is rolled back"},
    CommandOption{OptionId::pool, "--pool", "NAME", "the pool; default the first one"},
    CommandOption{OptionId::follow, "-f,--follow", "", "go on with what comes, until the master ends"},
    CommandOption{OptionId::last, "-n,--lines", "N", "only the last N of those that were"},
    CommandOption{OptionId::counters, "--counters", "[PATTERN]",
                  "the counters that are not 0, or all that PATTERN (a part, or with * and ?) fits"},
    CommandOption{OptionId::help, "-h,--help", "", "print help", true},
    CommandOption{OptionId::version, "--version", "", "print the version", true},
};

// What serves, and what changes something of a running master.
std::vector<Command> make_acting_commands() {
    using enum OptionId;
    return {
        {CommandId::run,
         "run",
         "serve in the foreground",
         "Becomes the master: reads FILE, opens the listeners, starts the workers and serves until it is "
         "stopped.\n"
         "Exits with 78 when the configuration is bad.",
         "",
         {config}},
        {CommandId::check,
         "check",
         "check the configuration",
         "Reads FILE as a master would and prints every error it finds; exits with 78 when there is one. "
         "Tries, too,\n"
         "what this machine would refuse (addresses, log folders, processors), and exits with 1 then.",
         "",
         {config}},
        {CommandId::reload,
         "reload",
         "load the configuration again, losing no connection",
         "Waits for the verdict: exits with 0 when every worker runs the new configuration, with 1 and the "
         "reason\n"
         "when it was refused, which leaves everything as it was. The new generation is then on probation: "
         "when\n"
         "too many of its workers die the master goes back by itself.",
         "",
         {config, control, fresh, probation}},
        {CommandId::stop,
         "stop",
         "stop when what is under way is done, or drain_timeout is over",
         "Waits until the master is gone.",
         "",
         {config, control}},
        {CommandId::quit,
         "quit",
         "stop when what is under way is done, however long it takes",
         "Waits until the master is gone.",
         "",
         {config, control}},
        {CommandId::reopen,
         "reopen",
         "open the log files again, after they were moved away",
         "For logrotate and its like. Waits until no worker writes to the old files; names those that "
         "still do after\n"
         "5 s.",
         "",
         {config, control}},
        {CommandId::workers,
         "workers",
         "give a pool another number of workers, until the next reload",
         "Waits until they serve. No connection is refused or broken on the way.",
         "N",
         {config, control, pool},
         1,
         1},
        {CommandId::worker,
         "worker",
         "replace one worker by a new one, which takes its connections over",
         "Waits until the new one serves; when it cannot be started the old one stays. Slots are what "
         "status\n"
         "shows: worker restart main/0.",
         "restart POOL/SLOT",
         {config, control},
         2,
         2},
    };
}

// What shows or makes something.
std::vector<Command> make_telling_commands() {
    using enum OptionId;
    return {
        {CommandId::status,
         "status",
         "show master, pools, listeners and workers",
         "Prints a screen for people, or one JSON object: the last reload and its reason, what is less "
         "than it should\n"
         "be, and why. Of a large pool those workers are shown that are not as they should be. The "
         "counters are in the\n"
         "JSON, or what --counters prints.",
         "",
         {config, control, json, counters}},
        {CommandId::top,
         "top",
         "watch master and workers live",
         "Looks once a second at what the workers count, which costs them nothing; works when they hang, "
         "too. Keys:\n"
         "up and down choose a worker, enter looks closer at it, s and r sort, p pauses, q quits.",
         "",
         {config, control, once}},
        {CommandId::events,
         "events",
         "show what the master has decided, and why",
         "Starts, deaths with their causes, reloads and their verdicts: the last thousand, oldest first, "
         "in the words\n"
         "of the log, whatever log_level is. Lines for people, or a JSON object a line.",
         "",
         {config, control, json, follow, last}},
        {CommandId::config,
         "config",
         "print the configuration that runs",
         "Prints it as TOML with every default, or as JSON. For the keys and their meaning: help config.",
         "",
         {config, control, json}},
        {CommandId::create,
         "new",
         "write a module of one's own to start from",
         "Makes the folder NAME with a module, a test, a CMakeLists.txt and a configuration, which "
         "builds and passes\n"
         "its test as it is. Refuses when something of that name is there.",
         "NAME",
         {},
         1,
         1},
        {CommandId::version, "version", "print the version", "", "", {}},
        {CommandId::help,
         "help",
         "explain a command or the configuration",
         "help COMMAND explains the command, help config every key of the configuration, help metrics every\n"
         "counter. For editors, shells and man:\n"
         "help schema prints a JSON schema of the configuration, help completion a script for bash, help "
         "manual and\n"
         "help config-manual manual pages as scdoc reads them.",
         "[COMMAND|TOPIC]",
         {},
         0,
         1},
    };
}

constexpr std::array<std::string_view, 6> topics = {"config",     "metrics", "schema",
                                                    "completion", "manual",  "config-manual"};

std::vector<Command> make_commands() {
    std::vector<Command> commands = make_acting_commands();
    std::ranges::move(make_telling_commands(), std::back_inserter(commands));
    return commands;
}

std::string option_text(const CommandOption& option) {
    const bool has_short = !option.flags.starts_with("--");
    const std::string_view short_name = option.flags.substr(0, 2);
    std::string text = has_short ? fmt::format("{}, {}", short_name, option.long_name())
                                 : fmt::format("    {}", option.long_name());
    if (!option.value.empty()) text += fmt::format(" {}", option.value);
    return text;
}

std::string options_text(const Command* command) {
    std::string text;
    for (const CommandOption& option : options) {
        if (command != nullptr && !command->takes(option)) continue;
        fmt::format_to(std::back_inserter(text), "  {:<20}  {}\n", option_text(option), option.summary);
    }
    return text;
}

}  // namespace

bool Command::takes(const CommandOption& option) const noexcept {
    return option.everywhere || std::ranges::find(options, option.id) != options.end();
}

std::span<const Command> all_commands() {
    static const std::vector<Command> commands = make_commands();
    return commands;
}

std::span<const CommandOption> all_options() noexcept {
    return options;
}

std::span<const std::string_view> help_topics() noexcept {
    return topics;
}

const Command* find_command(std::string_view name) noexcept {
    const auto commands = all_commands();
    const auto found = std::ranges::find(commands, name, &Command::name);
    return found == commands.end() ? nullptr : &*found;
}

std::vector<std::string> command_names() {
    std::vector<std::string> names;
    for (const Command& command : all_commands())
        names.emplace_back(command.name);
    return names;
}

std::string usage_text(std::string_view program) {
    std::string text = fmt::format("Usage: {} COMMAND [OPTION...]\n\nCommands:\n", program);
    for (const Command& command : all_commands()) {
        fmt::format_to(std::back_inserter(text), "  {:<8}  {}\n", command.name, command.summary);
    }
    text += "\nOptions:\n" + options_text(nullptr);
    text +=
        "\nExits with 0 when done, 1 when refused or failed, 2 on wrong usage, 78 on a bad configuration.\n";
    text += fmt::format("More: {0} help COMMAND, {0} help config, {0} help schema.\n", program);
    return text;
}

std::string command_usage_text(std::string_view program, const Command& command) {
    std::string text = fmt::format("Usage: {} {}", program, command.name);
    if (!command.argument.empty()) text += fmt::format(" {}", command.argument);
    text += fmt::format(" [OPTION...]\n\n{}.\n", command.summary);
    if (!command.details.empty()) text += fmt::format("{}\n", command.details);
    return text + "\nOptions:\n" + options_text(&command);
}

}  // namespace drover
