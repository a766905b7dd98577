// A process with a control server that answers by a script, as a master would: for tests of the other side.
// Runs in: tests.
#pragma once

#include "core/base/unique_fd.h"
#include "core/log/log.h"
#include "core/loop/event_loop.h"
#include "core/process/process.h"
#include "master/control/control.h"
#include "tests/support/temporary_folder.h"

#include <stdexcept>
#include <string>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace drover::test {

// What it does: reload succeeds after two progress lines, reopen is refused, status and config tell the
// format, stop is promised and quit is not; both end the process. With `stays` a stop ends the connections
// alone.
class ScriptedMaster {
  public:
    explicit ScriptedMaster(bool stays = false) {
        int ready[2];
        if (::pipe2(ready, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        const UniqueFd reading(ready[0]);
        UniqueFd writing(ready[1]);
        const int keep[] = {writing.get()};
        process_ = spawn({.keep_fds = keep, .own_session = false},
                         [&] { return Script(path(), stays).run(writing); });
        writing.reset();
        char byte = 0;
        if (::read(reading.get(), &byte, 1) != 1)
            throw std::runtime_error("the scripted master did not start");
    }
    ~ScriptedMaster() {
        process_.signal(SIGKILL);
        ::waitpid(process_.pid(), nullptr, 0);
    }

    std::string folder() const { return folder_.path(); }
    std::string path() const { return folder_.file("control.sock"); }
    pid_t pid() const { return process_.pid(); }
    // The process has ended, whether it was reaped or not.
    bool gone() const {
        siginfo_t info{};
        return ::waitid(P_PID, static_cast<id_t>(pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               info.si_pid != 0;
    }

  private:
    struct Script {
        Script(const std::string& path, bool stays_running)
            : stays(stays_running),
              server(std::make_unique<ControlServer>(
                  loop, log, path, ControlServer::RequestHandler::to<&Script::on_request>(this))) {}

        int run(const UniqueFd& ready) {
            if (::write(ready.get(), "r", 1) != 1) return 1;
            loop.run();
            return 0;
        }

        void on_request(ControlCaller caller, const ControlRequest& request) {
            const std::string& command = request.command;
            if (command == "reload") {
                server->progress(caller, "worker 1 of 2");
                server->progress(caller, "worker 2 of 2");
                server->reply(caller, true, "generation 2 serves");
            } else if (command == "reopen") {
                server->reply(caller, false, "log.txt: disk full");
            } else if (command == "stop" || command == "quit") {
                if (command == "stop") server->reply(caller, true, "");
                if (stays) server.reset();
                if (!stays) loop.stop();
            } else {
                server->reply(caller, true,
                              command + " as " + (request.format.empty() ? "text" : request.format));
            }
        }

        bool stays;
        EventLoop loop;
        Log log{{.role = "master", .pool = {}}};
        std::unique_ptr<ControlServer> server;
    };

    TemporaryFolder folder_;
    Process process_;
};

}  // namespace drover::test
