#include "master/cli/manual.h"

#include "conf/options/reference.h"
#include "core/base/version.h"
#include "master/cli/commands.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace drover {

namespace {

// A capital letter first and a full stop last, as sentences in a page have them.
std::string sentence(std::string_view text) {
    std::string result(text);
    if (!result.empty() && result.front() >= 'a' && result.front() <= 'z')
        result.front() = static_cast<char>(result.front() - 'a' + 'A');
    return result.empty() || result.ends_with('.') ? result : result + ".";
}

// As one line: the table's texts are broken into lines for terminals.
std::string unbroken(std::string_view text) {
    std::string result(text);
    std::ranges::replace(result, '\n', ' ');
    return manual_text(result);
}

std::string header(std::string_view name, unsigned section, const Program& program) {
    return fmt::format("{}({}) \"{}\"\n", name, section,
                       program_text(program.name, program.version, version()));
}

std::string option_names(const CommandOption& option) {
    std::string text = fmt::format("*{}*", option.long_name());
    if (!option.flags.starts_with("--")) text = fmt::format("*{}*, {}", option.flags.substr(0, 2), text);
    if (!option.value.empty()) text += fmt::format(" _{}_", option.value);
    return text;
}

std::string synopsis(const Command& command) {
    std::string text = fmt::format("*{}*", command.name);
    if (!command.argument.empty()) text += " " + manual_text(command.argument);
    for (const CommandOption& option : all_options()) {
        if (option.everywhere || !command.takes(option)) continue;
        text += fmt::format(" \\[*{}*", option.flags.substr(0, option.flags.find(',')));
        text += option.value.empty() ? "]" : fmt::format(" _{}_]", option.value);
    }
    return text;
}

std::string joined(std::span<const std::string> words) {
    std::string text;
    for (const std::string& word : words)
        text.append(text.empty() ? "" : " ").append(word);
    return text;
}

// "-c --config" of "-c,--config".
std::string flag_words(const CommandOption& option) {
    std::string text(option.flags);
    std::ranges::replace(text, ',', ' ');
    return text;
}

std::string options_of(const Command& command) {
    std::vector<std::string> words;
    for (const CommandOption& option : all_options())
        if (command.takes(option)) words.push_back(flag_words(option));
    return joined(words);
}

// A name that bash takes for a function.
std::string function_name(std::string_view program) {
    std::string name = "_" + std::string(program);
    const auto odd = [](char c) {
        return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_');
    };
    std::ranges::replace_if(name, odd, '_');
    return name;
}

constexpr std::string_view page_end = R"(
# EXIT STATUS

*0*
	Done.
*1*
	Refused or failed; the reason is on standard error.
*2*
	Wrong usage.
*78*
	The configuration is bad (EX\_CONFIG).

# SIGNALS

The master takes these:

*HUP*
	Reload.
*TERM*
	Stop when what is under way is done, or _drain\_timeout_ is over; a second one stops at once.
*INT*
	Stop at once.
*QUIT*
	Stop when what is under way is done.
*USR1*
	Open the log files again.
*TTIN*, *TTOU*
	One worker more, one fewer in the first pool, until the next reload.
)";

}  // namespace

std::string completion_script(std::string_view program) {
    std::vector<std::string> topics = command_names();
    topics.insert(topics.end(), help_topics().begin(), help_topics().end());
    std::string cases;
    for (const Command& command : all_commands())
        cases += fmt::format("        {}) words=\"{}\" ;;\n", command.name, options_of(command));
    const std::string function = function_name(program);
    return fmt::format(R"(# bash completion for {0}, made by `{0} help completion`
{1}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command="" word words
    COMPREPLY=()
    case $previous in
        -c | --config | --control)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        --pool | -n | --lines) return ;;
        worker)
            mapfile -t COMPREPLY < <(compgen -W restart -- "$current")
            return
            ;;
        help)
            mapfile -t COMPREPLY < <(compgen -W "{2}" -- "$current")
            return
            ;;
    esac
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        if [[ " {3} " == *" $word "* ]]; then command=$word && break; fi
    done
    case $command in
{4}        *) words="{3}" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}}
complete -F {1} {0}
)",
                       program, function, joined(topics), joined(command_names()), cases);
}

std::string manual_page(const Program& program) {
    std::string page = header(program.name, 1, program);
    fmt::format_to(std::back_inserter(page),
                   "\n# NAME\n\n{0} - a server of one master and its workers, and its command line\n"
                   "\n# SYNOPSIS\n\n*{0}* _COMMAND_ [_OPTION_...]\n\n# DESCRIPTION\n\n"
                   "*{0} run* becomes the master: it owns the listening sockets and starts workers, which "
                   "serve. The other commands check a configuration or talk to a master that runs.\n"
                   "\n# COMMANDS\n",
                   manual_text(program.name));
    for (const Command& command : all_commands()) {
        fmt::format_to(std::back_inserter(page), "\n{}\n\t{}\n", synopsis(command),
                       manual_text(sentence(command.summary)));
        if (!command.details.empty()) page += fmt::format("\t{}\n", unbroken(command.details));
    }
    page += "\n# OPTIONS\n\nThey stand before or after the command.\n";
    for (const CommandOption& option : all_options())
        page += fmt::format("\n{}\n\t{}\n", option_names(option), manual_text(sentence(option.summary)));
    page += page_end;
    return page + fmt::format("\n# SEE ALSO\n\n*{}.toml*(5)\n", manual_text(program.name));
}

std::string configuration_manual(const Program& program, std::span<const ModuleDeclaration> modules) {
    const std::string name = fmt::format("{}.toml", program.name);
    return header(name, 5, program) +
           fmt::format("\n# NAME\n\n{} - the configuration of *{}*(1)\n", name, manual_text(program.name)) +
           configuration_manual_body(modules) +
           fmt::format("\n# SEE ALSO\n\n*{}*(1)\n", manual_text(program.name));
}

}  // namespace drover
