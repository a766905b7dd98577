#include "master/cli/cli.h"

#include "core/base/exit_code.h"
#include "core/process/process.h"
#include "master/pid_file.h"
#include "tests/master/control/scripted_master.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace drover;

namespace {

struct Outcome {
    int code = -1;
    std::string output;
    std::string errors;
};

class Lamp : public Module {
  public:
    struct LampOptions {
        std::uint64_t brightness = 0;
        static const Options<LampOptions>& options() {
            static const auto table = Options<LampOptions>("A lamp.").integer(
                "brightness", &LampOptions::brightness, {.fallback = 7}, Apply::hot, "How bright it shines.");
            return table;
        }
    };
    std::string_view name() const noexcept override { return "lamp"; }
    const OptionTable& options() const override { return LampOptions::options(); }
    void start(Services&, const ImageNode&) override {}
    void connection(Accepted) override {}
};

std::string text_of(const UniqueFd& file) {
    std::string text(1024 * 1024, '\0');
    const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
}

// Runs the command line in a process of its own. `output` is where its standard output goes, when not back to
// us.
Outcome run_cli(std::vector<std::string> arguments, const char* output_path = nullptr,
                ModuleFactory module = make_module<Lamp>) {
    const UniqueFd output(output_path == nullptr ? ::memfd_create("output", MFD_CLOEXEC)
                                                 : ::open(output_path, O_WRONLY | O_CLOEXEC));
    const UniqueFd errors(::memfd_create("errors", MFD_CLOEXEC));
    const std::array keep = {output.get(), errors.get()};
    arguments.insert(arguments.begin(), "/usr/sbin/herd");
    const Process process = spawn({.keep_fds = keep, .own_session = false}, [&] {
        ::dup2(output.get(), STDOUT_FILENO);
        ::dup2(errors.get(), STDERR_FILENO);
        std::vector<char*> argv;
        for (std::string& argument : arguments)
            argv.push_back(argument.data());
        argv.push_back(nullptr);
        const std::array<ModuleFactory, 1> modules = {module};
        return run_command_line(static_cast<int>(arguments.size()), argv.data(), modules);
    });
    int status = 0;
    REQUIRE(::waitpid(process.pid(), &status, 0) == process.pid());
    REQUIRE(WIFEXITED(status));
    return {WEXITSTATUS(status), output_path == nullptr ? text_of(output) : "", text_of(errors)};
}

ParsedCommandLine parse(std::vector<std::string> arguments) {
    return parse_command_line(arguments);
}

}  // namespace

TEST_CASE("options stand before or after the command") {
    for (const auto& arguments : {std::vector<std::string>{"-c", "a.toml", "status", "--json"},
                                  std::vector<std::string>{"status", "--json", "--config", "a.toml"},
                                  std::vector<std::string>{"--json", "status", "--config=a.toml"}}) {
        const ParsedCommandLine parsed = parse(arguments);
        CHECK(parsed.error == "");
        REQUIRE(parsed.line.command != nullptr);
        CHECK(parsed.line.command->id == CommandId::status);
        CHECK(parsed.line.config_path == "a.toml");
        CHECK(parsed.line.json);
    }
    const ParsedCommandLine plain = parse({"reload"});
    CHECK(plain.line.config_path == "/etc/drover/drover.toml");
    CHECK(plain.line.control_path.empty());
    CHECK_FALSE(plain.line.json);
    CHECK(parse({"stop", "--control", "/run/c.sock"}).line.control_path == "/run/c.sock");
}

TEST_CASE("every command is parsed; help takes a topic, which may be a command's name") {
    for (const Command& command : all_commands()) {
        std::vector<std::string> line{std::string(command.name)};
        line.insert(line.end(), command.least_words, "word");
        const ParsedCommandLine parsed = parse(line);
        CHECK(parsed.error == "");
        CHECK(parsed.line.command == &command);

        const ParsedCommandLine help = parse({"help", std::string(command.name)});
        CHECK(help.error == "");
        REQUIRE(help.line.command != nullptr);
        CHECK(help.line.command->id == CommandId::help);
        CHECK(help.line.words == std::vector<std::string>{std::string(command.name)});

        CHECK(parse({std::string(command.name), "--help"}).line.help);
        CHECK(parse({"-h", std::string(command.name)}).line.help);
    }
    CHECK(parse({"--version"}).line.version);
}

TEST_CASE("a command makes no module: what becomes the master runs no module code") {
    constexpr ModuleFactory deadly = []() -> std::unique_ptr<Module> { std::abort(); };
    CHECK(run_cli({"version"}, nullptr, deadly).code == 0);
    CHECK(run_cli({"status", "--control", "/nowhere/control.sock"}, nullptr, deadly).code == 1);

    // The config reader makes modules, and dies of it. The master outlives it, and says so.
    const test::TemporaryFolder folder;
    const std::string file = folder.file("herd.toml");
    test::write_file(
        file, "[master]\nruntime_dir = \"" + folder.file("run") + "\"\n[pool.main]\nmodules = [\"lamp\"]\n");
    const Outcome run = run_cli({"run", "-c", file}, nullptr, deadly);
    CHECK(run.code == to_int(ExitCode::refused));
    CHECK_MESSAGE(run.errors.find("config reader killed by signal 6") != run.errors.npos, run.errors);
}

TEST_CASE("what is wrong is said in one line") {
    CHECK(parse({}).error == "no command given");
    CHECK(parse({"relod"}).error == "unknown command \"relod\"; did you mean \"reload\"?");
    CHECK(parse({"-c", "a.toml", "statsu"}).error == "unknown command \"statsu\"; did you mean \"status\"?");
    CHECK(parse({"--jsn", "status"}).error == "unknown option \"--jsn\"");
    CHECK(parse({"status", "-x"}).error == "unknown option \"-x\"");
    CHECK(parse({"reload", "now"}).error == "unexpected argument \"now\"");
    CHECK(parse({"check", "a.toml"}).error ==
          "unexpected argument \"a.toml\"; name the configuration with -c FILE");
    CHECK(parse({"reload", "stop"}).error == "unexpected argument \"stop\"");
    CHECK(parse({"help", "run", "check"}).error == "unexpected argument \"check\"");
    CHECK(parse({"workers"}).error == "workers needs N");
    CHECK(parse({"workers", "2", "3"}).error == "unexpected argument \"3\"");
    CHECK(parse({"worker", "restart"}).error == "worker needs restart POOL/SLOT");
    CHECK(parse({"reload", "--json"}).error == "reload takes no --json");
    CHECK(parse({"run", "--control", "x"}).error == "run takes no --control");
    CHECK(parse({"-c", "a.toml", "version"}).error == "version takes no --config");
    for (const auto& arguments :
         {std::vector<std::string>{"run", "-c"}, std::vector<std::string>{"status", "--json=maybe"},
          std::vector<std::string>{"run", "-c", "a", "-c", "b"}}) {
        const std::string error = parse(arguments).error;
        CAPTURE(error);
        CHECK_FALSE(error.empty());
        CHECK(error.find('\n') == error.npos);
    }
}

TEST_CASE("wrong usage is one line on stderr and 2") {
    const Outcome outcome = run_cli({"relod"});
    CHECK(outcome.code == to_int(ExitCode::usage));
    CHECK(outcome.output.empty());
    CHECK(outcome.errors == "herd: unknown command \"relod\"; did you mean \"reload\"? (see: herd help)\n");
    CHECK(run_cli({}).code == to_int(ExitCode::usage));
}

TEST_CASE("version and help need no master") {
    CHECK(run_cli({"version"}).output == "herd (drover 0.1.0)\n");
    CHECK(run_cli({"--version"}).output == "herd (drover 0.1.0)\n");
    CHECK(run_cli({"help"}).output == usage_text("herd"));
    CHECK(run_cli({"--help"}).output == usage_text("herd"));
    const std::string reload = command_usage_text("herd", *find_command("reload"));
    CHECK(run_cli({"help", "reload"}).output == reload);
    CHECK(run_cli({"reload", "-h"}).output == reload);
    const Outcome unknown = run_cli({"help", "shema"});
    CHECK(unknown.code == to_int(ExitCode::usage));
    CHECK(unknown.errors == "herd: no help on \"shema\"; did you mean \"schema\"?\n");
}

TEST_CASE("the reference and the schema know the program's modules") {
    for (const char* topic : {"config", "schema"}) {
        const Outcome outcome = run_cli({"help", topic});
        CHECK(outcome.code == 0);
        CHECK(outcome.errors.empty());
        CHECK(outcome.output.find("runtime_dir") != std::string::npos);
        CHECK(outcome.output.find("How bright it shines.") != std::string::npos);
    }
    CHECK(run_cli({"help", "schema"}).output.starts_with("{"));
    const std::string manual = run_cli({"help", "config-manual"}).output;
    CHECK(manual.starts_with("herd.toml(5) "));
    CHECK(manual.find("\n*brightness* = 7\n\tinteger, at least 0; hot. How bright it shines.\n") !=
          manual.npos);
}

TEST_CASE("new refuses a bad name with 2") {
    const Outcome outcome = run_cli({"new", "../lamp"});
    CHECK(outcome.code == to_int(ExitCode::usage));
    CHECK(outcome.output.empty());
    CHECK(outcome.errors ==
          "herd: \"../lamp\" is no name; write small letters, digits and \"_\", a letter first\n");
    CHECK(run_cli({"new"}).code == to_int(ExitCode::usage));
}

TEST_CASE("new refuses what is there with 1") {
    test::TemporaryFolder folder;
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    const Outcome first = run_cli({"new", "lamp"});
    test::write_file("lamp/main.cpp", "mine");
    const Outcome second = run_cli({"new", "lamp"});
    std::filesystem::current_path(before);
    CHECK(first.code == 0);
    CHECK(first.output.starts_with("lamp is written."));
    CHECK(second.code == to_int(ExitCode::refused));
    CHECK(second.errors == "herd: \"lamp\" is there already\n");
    CHECK(test::read_file(folder.file("lamp/main.cpp")) == "mine");
}

TEST_CASE("output that cannot be written is a failure") {
    const Outcome outcome = run_cli({"help"}, "/dev/full");
    CHECK(outcome.code == to_int(ExitCode::refused));
    CHECK(outcome.errors.find("standard output") != std::string::npos);
}

TEST_CASE("answers go to stdout, refusals to stderr with 1") {
    const test::ScriptedMaster master;
    const Outcome reload = run_cli({"reload", "--control", master.path()});
    CHECK(reload.code == 0);
    CHECK(reload.output == "generation 2 serves\n");
    CHECK(reload.errors.empty());

    const Outcome reopen = run_cli({"reopen", "--control", master.path()});
    CHECK(reopen.code == to_int(ExitCode::refused));
    CHECK(reopen.output.empty());
    CHECK(reopen.errors == "herd: log.txt: disk full\n");

    CHECK(run_cli({"status", "--control", master.path()}).output == "status as text\n");
    CHECK(run_cli({"status", "--json", "--control", master.path()}).output == "status as json\n");
    CHECK(run_cli({"config", "--control", master.path(), "--json"}).output == "config as json\n");
}

TEST_CASE("the master is found by the file's runtime_dir, even in a file that no longer parses") {
    const test::ScriptedMaster master;
    test::TemporaryFolder folder;
    const std::string file = folder.file("broken.toml");
    test::write_file(file, "[master]\nruntime_dir = \"" + master.folder() + "\"\nthis is [ no toml\n");
    CHECK(run_cli({"status", "-c", file}).output == "status as text\n");
}

TEST_CASE("stop and quit return when the master is gone") {
    for (const char* command : {"stop", "quit"}) {
        const test::ScriptedMaster master;
        const Outcome outcome = run_cli({command, "--control", master.path()});
        CHECK(outcome.code == 0);
        CHECK(outcome.output == "stopped\n");
        CHECK(master.gone());
    }
}

TEST_CASE("no master, no file") {
    test::TemporaryFolder folder;
    const std::string path = folder.file("control.sock");
    const Outcome absent = run_cli({"status", "--control", path});
    CHECK(absent.code == to_int(ExitCode::refused));
    const std::string no_answer = "herd: no master answers at " + path + ": No such file or directory";
    CHECK(absent.errors == no_answer + "\n");
    const std::string own_pid = std::to_string(::getpid());
    test::write_file(folder.file("drover.pid"), own_pid + "\n");  // of a master that was killed
    test::write_file(folder.file("drover.pid.lock"), "");
    CHECK(run_cli({"status", "--control", path}).errors == no_answer + "\n");
    std::filesystem::remove(folder.file("drover.pid.lock"));
    {
        const PidFile running(folder.file("drover.pid"));
        CHECK(run_cli({"status", "--control", path}).errors ==
              no_answer + "; " + folder.file("drover.pid") + " says that pid " + own_pid +
                  " is the master: `kill -HUP " + own_pid + "` reloads, and makes the socket again\n");
    }
    REQUIRE(::mkfifo(folder.file("drover.pid").c_str(), 0600) == 0);  // nobody writes to it
    CHECK(run_cli({"status", "--control", path}).errors == no_answer + "\n");

    const Outcome unreadable = run_cli({"status", "-c", folder.file("missing.toml")});
    CHECK(unreadable.code == to_int(ExitCode::config));
    CHECK(unreadable.errors == "herd: " + folder.file("missing.toml") +
                                   ": there is no such file; name the configuration with -c FILE, or the "
                                   "master's socket with --control PATH\n");
}
