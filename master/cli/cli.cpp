#include "master/cli/cli.h"

#include "conf/observer.h"
#include "conf/options/findings.h"
#include "conf/options/metrics_reference.h"
#include "conf/options/reference.h"
#include "conf/reader/document.h"
#include "conf/reader/toml_reader.h"
#include "conf/settings.h"
#include "core/base/exit_code.h"
#include "core/base/program.h"
#include "core/base/version.h"
#include "core/base/visible_text.h"
#include "core/process/process.h"
#include "master/cli/manual.h"
#include "master/cli/run.h"
#include "master/cli/scaffold.h"
#include "master/cli/top/top.h"
#include "master/control/control_client.h"
#include "master/pid_file.h"
#include "modules/observer/observer.h"
#include "worker/module/module_declarations.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace drover {

namespace {

struct Invocation {
    std::string_view program;
    std::string_view version;
    const CommandLine& line;
    std::span<const ModuleFactory> modules;
};

void add_option(CLI::App& app, const CommandOption& option, CommandLine& line) {
    const std::string flags(option.flags);
    switch (option.id) {
        case OptionId::config:
            app.add_option(flags, line.config_path);
            break;
        case OptionId::control:
            app.add_option(flags, line.control_path);
            break;
        case OptionId::fresh:
            app.add_flag(flags, line.fresh);
            break;
        case OptionId::probation:
            app.add_flag(flags, line.probation);
            break;
        case OptionId::pool:
            app.add_option(flags, line.pool);
            break;
        case OptionId::once:
            app.add_flag(flags, line.once);
            break;
        case OptionId::json:
            app.add_flag(flags, line.json);
            break;
        case OptionId::follow:
            app.add_flag(flags, line.follow);
            break;
        case OptionId::last:
            app.add_option(flags, line.last);
            break;
        case OptionId::counters:
            app.add_option(flags, line.counter_pattern)->expected(0, 1);
            break;
        case OptionId::help:
            app.add_flag(flags, line.help);
            break;
        case OptionId::version:
            app.add_flag(flags, line.version);
            break;
    }
}

std::string unexpected_argument(std::string_view word) {
    return fmt::format("unexpected argument \"{}\"{}", word,
                       word.ends_with(".toml") ? "; name the configuration with -c FILE" : "");
}

// The first thing wrong, in words of ours: CLI11's are about its own notions.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
    const std::vector<std::string> unexpected = app.remaining(true);
    if (!unexpected.empty()) {
        const std::string& first = unexpected.front();
        if (first.starts_with('-')) return fmt::format("unknown option \"{}\"", first);
        if (!app.get_subcommands().empty()) return unexpected_argument(first);
        return fmt::format("unknown command \"{}\"{}", first, suggestion(first, command_names()));
    }
    const std::string text = error.what();
    return text.substr(0, text.find('\n'));
}

std::string find_misplaced_option(const CLI::App& app, const Command& command) {
    for (const CommandOption& option : all_options()) {
        if (command.takes(option) || app.count(std::string(option.long_name())) == 0) continue;
        return fmt::format("{} takes no {}", command.name, option.long_name());
    }
    return {};
}

int print(std::string_view text) {
    const std::string shown = visible_lines(text);
    std::fwrite(shown.data(), 1, shown.size(), stdout);
    if (!text.empty() && !text.ends_with('\n')) std::fputc('\n', stdout);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return to_int(ExitCode::ok);
    std::perror("standard output");
    return to_int(ExitCode::refused);
}

void complain(const Invocation& invocation, std::string_view reason) {
    while (reason.ends_with('\n'))
        reason.remove_suffix(1);
    std::fputs(fmt::format("{}: {}\n", invocation.program, visible_lines(reason)).c_str(), stderr);
}

int fail(const Invocation& invocation, ExitCode code, std::string_view reason) {
    complain(invocation, reason);
    return to_int(code);
}

int print_help(const Invocation& invocation) {
    if (invocation.line.words.empty()) return print(usage_text(invocation.program));
    const std::string& topic = invocation.line.words.front();
    const std::string_view program = invocation.program;
    if (topic == "config") return print(configuration_reference(declare_modules(invocation.modules)));
    if (topic == "metrics") return print(metrics_reference(declare_modules(invocation.modules)));
    if (topic == "schema") return print(configuration_schema(declare_modules(invocation.modules)));
    if (topic == "completion") return print(completion_script(program));
    const Program who{std::string(program), std::string(invocation.version)};
    if (topic == "manual") return print(manual_page(who));
    if (topic == "config-manual")
        return print(configuration_manual(who, declare_modules(invocation.modules)));
    if (const Command* command = find_command(topic)) {
        return print(command_usage_text(program, *command));
    }
    std::vector<std::string> topics = command_names();
    topics.insert(topics.end(), help_topics().begin(), help_topics().end());
    return fail(invocation, ExitCode::usage,
                fmt::format("no help on \"{}\"{}", topic, suggestion(topic, topics)));
}

template <class Number>
bool parse_number(std::string_view text, Number& number) {
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && rest == text.data() + text.size();
}

// Throws std::invalid_argument: the words after the command are not what it takes.
ControlRequest make_request(const CommandLine& line) {
    ControlRequest request;
    request.command = line.command->name;
    request.format = line.json ? "json" : "";
    request.fresh = line.fresh;
    request.probation = line.probation;
    request.pool = line.pool;
    request.progress = true;  // an answer of some kind, whether it is shown or not
    request.follow = line.follow;
    if (line.shows_counters) request.counters = line.counter_pattern;
    if (!line.last.empty() &&
        (!parse_number(line.last, request.last.emplace()) || *request.last > most_events))
        throw std::invalid_argument(
            fmt::format("\"{}\" is not a number of events; 0 to {} are possible", line.last, most_events));
    if (line.command->id == CommandId::workers) {
        if (parse_number(line.words[0], request.count) && request.count > 0 && request.count <= max_workers)
            return request;
        throw std::invalid_argument(fmt::format("\"{}\" is not a number of workers; 1 to {} are possible",
                                                line.words[0], max_workers));
    }
    if (line.command->id == CommandId::worker) {
        if (line.words[0] != "restart")
            throw std::invalid_argument(
                fmt::format("\"{}\" is nothing to do with a worker; restart is", line.words[0]));
        const std::string& place = line.words[1];
        const std::size_t slash = place.find('/');
        request.command = "restart";
        request.pool = place.substr(0, slash);
        const bool good = slash != place.npos && slash > 0 &&
                          parse_number(place.substr(slash + 1), request.slot) && request.slot < max_workers;
        if (!good)
            throw std::invalid_argument(
                fmt::format("\"{}\" names no worker; write POOL/SLOT, such as main/0", place));
    }
    return request;
}

std::string control_path_of(const CommandLine& line) {
    if (!line.control_path.empty()) return line.control_path;
    return find_runtime_dir(line.config_path) + "/control.sock";
}

// How a master whose control socket has gone makes it again; empty: no master runs there.
std::string way_without_socket(const std::string& socket_path) {
    const std::string folder = socket_path.substr(0, socket_path.rfind('/') + 1);
    const pid_t pid = PidFile::running_master(folder + "drover.pid");
    if (pid == 0) return {};
    return fmt::format(
        "; {}drover.pid says that pid {} is the master: `kill -HUP {}` reloads, and makes the socket again",
        folder, pid, pid);
}

int fail_unanswered(const Invocation& invocation, const std::string& path, const std::system_error& error) {
    const bool is_gone = error.code() == std::errc::no_such_file_or_directory;
    return fail(invocation, ExitCode::refused,
                fmt::format("no master answers at {}: {}{}", path, error.code().message(),
                            is_gone ? way_without_socket(path) : ""));
}

// Each line leaves at once: who reads them may be waiting for one. A reader that has seen enough is no
// failure.
ControlAnswer show_events(const std::string& path, const ControlRequest& request,
                          const SilenceNotice& silence) {
    std::signal(SIGPIPE, SIG_IGN);
    int write_error = 0;
    const auto show = [&write_error](std::string_view text) {
        const std::string line = visible_text(text) + "\n";
        const bool written =
            std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fflush(stdout) == 0;
        if (!written && errno != EPIPE) write_error = errno;
        return written;
    };
    const ControlAnswer answer = ask_for_events(path, request, show, STDOUT_FILENO, silence);
    if (write_error == 0) return answer;
    return {false, fmt::format("standard output: {}", std::generic_category().message(write_error))};
}

// A late answer is of no use to a caller that only asks. A caller that follows from now on is sent nothing
// before something happens.
SilenceNotice notice_of_silence(const Invocation& invocation, const ControlRequest& request) {
    const CommandId command = invocation.line.command->id;
    const bool only_asks = command == CommandId::status || command == CommandId::config ||
                           (command == CommandId::events && !request.follow);
    SilenceNotice notice;
    if (request.follow && request.last == 0U) return notice;
    const std::string text = fmt::format(
        "no answer from the master within {} s{}",
        std::chrono::duration_cast<std::chrono::seconds>(notice.after).count(), only_asks ? "" : "; waiting");
    notice.tell = [&invocation, only_asks, text] {
        if (only_asks) throw std::runtime_error(text);
        complain(invocation, text);
    };
    return notice;
}

int call_master(const Invocation& invocation) {
    const CommandLine& line = invocation.line;
    ControlRequest request;
    try {
        request = make_request(line);
    } catch (const std::invalid_argument& error) {
        return fail(invocation, ExitCode::usage, error.what());
    }
    const std::string path = control_path_of(line);
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    const auto show_progress = [terminal](std::string_view text) {
        if (terminal) std::fputs((visible_text(text) + "\n").c_str(), stderr);
    };
    const SilenceNotice silence = notice_of_silence(invocation, request);
    const auto ask = [&] {
        if (line.command->id == CommandId::events) return show_events(path, request, silence);
        const bool ends = line.command->id == CommandId::stop || line.command->id == CommandId::quit;
        return ends ? stop_master(path, request, show_progress, silence)
                    : ask_master(path, request, show_progress, silence);
    };
    try {
        const ControlAnswer answer = ask();
        if (!answer.ok) return fail(invocation, ExitCode::refused, answer.text);
        return answer.text.empty() ? to_int(ExitCode::ok) : print(answer.text);
    } catch (const std::system_error& error) {
        return fail_unanswered(invocation, path, error);
    }
}

int watch_master(const Invocation& invocation) {
    const std::string path = control_path_of(invocation.line);
    CounterSource source;
    try {
        source = ask_for_counters(path);
    } catch (const std::system_error& error) {
        return fail_unanswered(invocation, path, error);
    }
    if (invocation.line.once) return print(top::look_once(source));
    top::watch(source);
    return to_int(ExitCode::ok);
}

int create_module(const Invocation& invocation) {
    const std::string& name = invocation.line.words.front();
    const std::string wrong = explain_bad_name(name);
    if (!wrong.empty()) return fail(invocation, ExitCode::usage, wrong);
    write_scaffold(name, name);
    return print(
        fmt::format("{0} is written. Build and test it:\n"
                    "  cmake -S {0} -B {0}/build && cmake --build {0}/build && ctest --test-dir {0}/build",
                    name));
}

// What to do about a file that does not exist; empty: it does, or may.
std::string missing_configuration(const Invocation& invocation) {
    const std::string& path = invocation.line.config_path;
    if (::access(path.c_str(), F_OK) == 0 || errno != ENOENT) return {};
    const CommandId command = invocation.line.command->id;
    const bool asks_a_master = command != CommandId::run && command != CommandId::check;
    return fmt::format(
        "{}: there is no such file; name the configuration with -c FILE, or {}", path,
        asks_a_master ? "the master's socket with --control PATH"
                      : fmt::format("write one: `{} help config` explains every key", invocation.program));
}

int run_command(const Invocation& invocation) {
    const CommandLine& line = invocation.line;
    if (line.version) return print(program_text(invocation.program, invocation.version, version()));
    if (line.help) {
        return print(line.command == nullptr ? usage_text(invocation.program)
                                             : command_usage_text(invocation.program, *line.command));
    }
    const CommandId command = line.command->id;
    const bool reads_file = command != CommandId::create && command != CommandId::version &&
                            command != CommandId::help && line.control_path.empty();
    if (const std::string missing = reads_file ? missing_configuration(invocation) : ""; !missing.empty())
        return fail(invocation, ExitCode::config, missing);
    switch (line.command->id) {
        case CommandId::run:
            return to_int(run_master(line.config_path, invocation.modules,
                                     {std::string(invocation.program), std::string(invocation.version)}));
        case CommandId::check:
            return to_int(check_configuration(line.config_path, invocation.modules));
        case CommandId::create:
            return create_module(invocation);
        case CommandId::top:
            return watch_master(invocation);
        case CommandId::version:
            return print(program_text(invocation.program, invocation.version, version()));
        case CommandId::help:
            return print_help(invocation);
        case CommandId::reload:
        case CommandId::stop:
        case CommandId::quit:
        case CommandId::reopen:
        case CommandId::workers:
        case CommandId::worker:
        case CommandId::status:
        case CommandId::events:
        case CommandId::config:
            break;
    }
    return call_master(invocation);
}

// [observer] is a key of every program's configuration, so the module that it names is in every program.
// Compares factories and calls none: this process may become the master, which runs no module code.
std::vector<ModuleFactory> with_observer(std::span<const ModuleFactory> given) {
    constexpr ModuleFactory observer = make_module<ObserverModule>;
    std::vector<ModuleFactory> modules(given.begin(), given.end());
    if (std::ranges::find(modules, observer) == modules.end()) modules.push_back(observer);
    return modules;
}

}  // namespace

ParsedCommandLine parse_command_line(std::span<const std::string> arguments) {
    ParsedCommandLine parsed;
    CommandLine& line = parsed.line;
    CLI::App app;
    app.set_help_flag();
    app.fallthrough();
    app.require_subcommand(0, 1);
    for (const CommandOption& option : all_options())
        add_option(app, option, line);
    for (const Command& command : all_commands()) {
        CLI::App* subcommand = app.add_subcommand(std::string(command.name));
        subcommand->set_help_flag();
        if (command.most_words > 0) subcommand->add_option("argument", line.words);
    }
    try {
        // CLI11 takes them from the back.
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {
        parsed.error = explain(app, error);
        return parsed;
    }
    const std::vector<CLI::App*> given = app.get_subcommands();
    if (!given.empty()) line.command = find_command(given.front()->get_name());
    line.shows_counters = app.count("--counters") > 0;
    if (line.help || line.version) return parsed;
    if (line.command == nullptr)
        parsed.error = "no command given";
    else if (line.words.size() < line.command->least_words)
        parsed.error = fmt::format("{} needs {}", line.command->name, line.command->argument);
    else if (line.words.size() > line.command->most_words)
        parsed.error = unexpected_argument(line.words[line.command->most_words]);
    else
        parsed.error = find_misplaced_option(app, *line.command);
    return parsed;
}

int run_command_line(int argc, char** argv, std::span<const ModuleFactory> given,
                     std::string_view program_version) {
    const std::vector<ModuleFactory> modules = with_observer(given);
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    std::string program = argc > 0 ? argv[0] : "";
    program.erase(0, program.rfind('/') + 1);
    if (program.empty()) program = "drover";
    // The ready server is called as it always was: "drover: master".
    const std::string_view title_version = program == "drover" ? std::string_view() : program_version;
    init_process_title(argc, argv, title_version);  // argv is no longer to be read
    const ParsedCommandLine parsed = parse_command_line(arguments);
    const Invocation invocation{program, program_version, parsed.line, modules};
    if (!parsed.error.empty()) {
        return fail(invocation, ExitCode::usage, fmt::format("{} (see: {} help)", parsed.error, program));
    }
    try {
        return run_command(invocation);
    } catch (const ConfigError& error) {
        for (const std::string& finding : error.findings)
            fail(invocation, ExitCode::config, finding);
        return to_int(ExitCode::config);
    } catch (const std::exception& error) {
        return fail(invocation, ExitCode::refused, error.what());
    }
}

}  // namespace drover
