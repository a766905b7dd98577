#include "master/cli/run.h"

#include "core/base/visible_text.h"
#include "core/loop/event_loop.h"
#include "core/process/process.h"
#include "master/master.h"
#include "master/reload/config_reader.h"
#include "master/supervise/leftovers.h"
#include "worker/privileges.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>

#include <sys/utsname.h>

namespace drover {

namespace {

constexpr int oldest_kernel_major = 5;
constexpr int oldest_kernel_minor = 10;

// False, with a line on stderr, on a kernel that lacks what the process model stands on (pidfd_open,
// close_range, memfd seals).
bool kernel_is_new_enough() {
    utsname name{};
    ::uname(&name);
    char* rest = nullptr;
    const long major = std::strtol(name.release, &rest, 10);
    const long minor = *rest == '.' ? std::strtol(rest + 1, nullptr, 10) : 0;
    if (major > oldest_kernel_major || (major == oldest_kernel_major && minor >= oldest_kernel_minor))
        return true;
    std::fprintf(stderr, "Linux %s is too old: %d.%d or newer is needed\n", name.release, oldest_kernel_major,
                 oldest_kernel_minor);
    return false;
}

void prepare_process() {
    open_standard_fds();
    reset_signals();
    raise_descriptor_limit();
}

// `drover check`: one run of the config reader, without a master around it.
class CheckRun {
  public:
    CheckRun(const std::string& path, std::span<const ModuleFactory> modules)
        : child_exit_(loop_, SIGCHLD, SignalWatch::Handler::to<&CheckRun::on_child_exit>(this)),
          leftovers_(loop_, Timer::Handler::to<&CheckRun::end>(this)),
          reader_(clock_, path, modules, -1, ConfigReader::VerdictHandler::to<&CheckRun::on_verdict>(this),
                  true) {}

    ExitCode run() {
        loop_.run();
        return code_.value_or(ExitCode::refused);
    }

  private:
    void on_child_exit(int) {
        while (const auto reaped = reap_any()) {
            if (reaped->pid == reader_.pid()) reader_.on_exit(reaped->report);
        }
        if (code_) end();
    }
    void on_verdict(ConfigReader::Verdict& verdict) {
        for (const std::string& finding : verdict.findings)
            std::fprintf(stderr, "%s\n", visible_text(finding).c_str());
        code_ = verdict.findings.empty() ? ExitCode::ok : ExitCode::refused;
        if (verdict.of_the_file) code_ = ExitCode::config;
        end();
    }
    // Module code may have left something behind.
    void end() {
        const Leftovers::State state = leftovers_.end();
        if (state == Leftovers::State::none || state == Leftovers::State::given_up) loop_.stop();
    }

    EventLoop loop_;
    RunClock clock_{loop_};
    SignalWatch child_exit_;
    Leftovers leftovers_;
    ConfigReader reader_;
    std::optional<ExitCode> code_;
};

}  // namespace

ExitCode run_master(const std::string& config_path, std::span<const ModuleFactory> modules,
                    const Program& program) {
    if (!kernel_is_new_enough()) return ExitCode::refused;
    prepare_process();
    set_process_title("master");
    try {
        return Master(std::filesystem::absolute(config_path), modules, program).run();
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", visible_text(failure.what()).c_str());
        return ExitCode::refused;
    }
}

ExitCode check_configuration(const std::string& config_path, std::span<const ModuleFactory> modules) {
    prepare_process();
    try {
        const ExitCode code = CheckRun(std::filesystem::absolute(config_path), modules).run();
        if (code == ExitCode::ok) std::printf("configuration is valid\n");
        return code;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", visible_text(failure.what()).c_str());
        return ExitCode::refused;
    }
}

}  // namespace drover
