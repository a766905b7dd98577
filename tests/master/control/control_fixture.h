// A control server whose handler answers status at once and leaves everything else to the test. Runs in:
// tests.
#pragma once

#include "core/base/unique_fd.h"
#include "core/log/log.h"
#include "core/loop/event_loop.h"
#include "master/control/control.h"
#include "tests/master/control/raw_caller.h"
#include "tests/support/run_until.h"
#include "tests/support/temporary_folder.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace drover::test {

inline constexpr std::string_view status_request = "{\"command\":\"status\"}\n";
inline constexpr std::string_view status_reply = "{\"ok\":true,\"text\":\"fine\"}\n";

struct ControlFixture {
    explicit ControlFixture(std::chrono::milliseconds silence = ControlServer::silence_limit)
        : log_file(::memfd_create("log", MFD_CLOEXEC)), log({.role = "master", .pool = {}}) {
        log.set_target({log_file.duplicate()});
        server = std::make_unique<ControlServer>(
            loop, log, path, ControlServer::RequestHandler::to<&ControlFixture::on_request>(this), silence);
    }

    void on_request(ControlCaller caller, const ControlRequest& request) {
        requests.push_back(request.command);
        last_caller = caller;
        if (on_each) return on_each(caller);
        if (request.command == "status") server->reply(caller, true, "fine");
    }

    void answer_with_descriptor(ControlCaller caller) {
        std::vector<UniqueFd> fds;
        fds.push_back(log_file.duplicate());
        server->reply_with(caller, "here", std::move(fds));
    }
    bool until(const std::function<bool()>& done) { return run_until(loop, done); }
    bool answers_others() {
        RawCaller other(path);
        other.send(status_request);
        return until([&] { return other.received() == status_reply; });
    }
    std::string logged() const {
        std::string text(65536, '\0');
        const ssize_t size = ::pread(log_file.get(), text.data(), text.size(), 0);
        text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        return text;
    }

    TemporaryFolder folder;
    std::string path = folder.file("control.sock");
    EventLoop loop;
    UniqueFd log_file;
    Log log;
    std::vector<std::string> requests;
    ControlCaller last_caller = 0;
    std::function<void(ControlCaller)> on_each;
    std::unique_ptr<ControlServer> server;
};

}  // namespace drover::test
