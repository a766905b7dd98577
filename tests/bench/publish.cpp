// How long a configuration takes to be served, for any server that reads a file:
// publish PORT CONFIG ROUNDS CONTROL COMMAND... starts COMMAND with each "@BODY@" in CONFIG replaced, and
// prints medians in milliseconds: start to first answer, reload to the first answer of the new configuration,
// reload to all workers new. CONTROL is the control socket of a Drover master: its verdict says when all
// workers are new. With "-" the reload is a HUP, and all are new when the last old worker has ended.
#include "tests/support/child.h"
#include "tests/support/control_call.h"
#include "tests/support/http_client.h"
#include "tests/support/proc.h"
#include "tests/support/temporary_folder.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>

namespace {

using namespace drover::test;
using Clock = std::chrono::steady_clock;

double since_ms(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void write_config(const std::string& pattern, const std::string& path, const std::string& body) {
    std::string text = pattern;
    for (std::size_t at = text.find("@BODY@"); at != std::string::npos; at = text.find("@BODY@")) {
        text.replace(at, 6, body);
    }
    write_file(path + ".next", text);
    std::filesystem::rename(path + ".next", path);
}

// New connections until one gets this body. The short wait leaves the processor to the server.
void wait_answer(std::uint16_t port, const std::string& body) {
    const Deadline deadline;
    while (!deadline.passed()) {
        try {
            if (http_get(port).body == body) return;
        } catch (const std::system_error&) {
            // Not there yet.
        }
        const timespec pause{0, 100000};
        ppoll(nullptr, 0, &pause, nullptr);
    }
    throw std::runtime_error("no answer \"" + body + "\"");
}

int measure(const std::vector<std::string>& arguments) {
    const auto port = static_cast<std::uint16_t>(std::stoi(arguments[0]));
    const std::string& config = arguments[1];
    const int rounds = std::stoi(arguments[2]);
    const std::string& control = arguments[3];
    const std::vector<std::string> command(arguments.begin() + 4, arguments.end());
    const std::string pattern = read_file(config);

    std::vector<double> starts;
    std::vector<double> first_answers;
    std::vector<double> all_new;
    for (int i = 0; i < rounds; ++i) {
        write_config(pattern, config, "start");
        const auto start = Clock::now();
        Child server = Child::start(command);
        wait_answer(port, "start");
        starts.push_back(since_ms(start));

        for (int reload = 0; reload < 5; ++reload) {
            const std::string body = "reload-" + std::to_string(reload);
            write_config(pattern, config, body);
            const std::vector<pid_t> old_workers = children_of(server.pid());
            const auto published = Clock::now();
            std::optional<ControlCall> call;
            if (control == "-") {
                server.signal(SIGHUP);
            } else {
                call.emplace(control, "reload");
            }
            wait_answer(port, body);
            first_answers.push_back(since_ms(published));
            if (call) {
                if (!call->wait().ok) throw std::runtime_error("the reload was refused");
            } else {
                for (const pid_t worker : old_workers)
                    wait_gone(open_pidfd(worker));
            }
            all_new.push_back(since_ms(published));
        }
        server.signal(SIGTERM);
        server.wait_exit();
    }
    write_file(config, pattern);
    std::printf("%.2f %.2f %.2f\n", median(starts), median(first_answers), median(all_new));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 6) return 2;
    try {
        return measure({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "publish: %s\n", error.what());
        return 1;
    }
}
