// How long a configuration takes to be served, for any server that reads a file:
// publish PORT CONFIG ROUNDS VERDICT COMMAND... starts COMMAND with each "@BODY@" in CONFIG replaced, and
// prints medians in milliseconds: start to first answer, HUP to the first answer of the new configuration,
// HUP to all workers new. VERDICT is "notify" for a server that says READY=1 to its service manager when all
// are new; with "-" all are new when the last old worker has ended.
#include "tests/support/child.h"
#include "tests/support/notify_socket.h"
#include "tests/support/proc.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/timing.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <poll.h>

namespace {

using namespace drover::test;
void write_config(const std::string& pattern, const std::string& path, const std::string& body) {
    std::string text = pattern;
    for (std::size_t at = text.find("@BODY@"); at != std::string::npos; at = text.find("@BODY@")) {
        text.replace(at, 6, body);
    }
    replace_file(path, text);
}

void wait_ready(NotifySocket& notify, std::size_t times) {
    const Deadline deadline;
    while (notify.count("READY=1") < times) {
        if (deadline.passed()) throw std::runtime_error("no verdict");
        pollfd waiting{notify.fd(), POLLIN, 0};
        poll(&waiting, 1, deadline.remaining_ms());
        notify.drain();
    }
}

int measure(const std::vector<std::string>& arguments) {
    const auto port = static_cast<std::uint16_t>(std::stoi(arguments[0]));
    const std::string& config = arguments[1];
    const int rounds = std::stoi(arguments[2]);
    const bool notifies = arguments[3] == "notify";
    const std::vector<std::string> command(arguments.begin() + 4, arguments.end());
    const std::string pattern = read_file(config);
    const TemporaryFolder folder;

    std::vector<double> starts;
    std::vector<double> first_answers;
    std::vector<double> all_new;
    for (int i = 0; i < rounds; ++i) {
        NotifySocket notify(folder.file("notify-" + std::to_string(i)));
        write_config(pattern, config, "start");
        const auto start = BenchClock::now();
        Child server = Child::start(command, {.environment = {notify.environment()}});
        wait_answer(port, "start");
        starts.push_back(since_ms(start));
        if (notifies) wait_ready(notify, 1);

        for (std::size_t reload = 0; reload < 5; ++reload) {
            const std::string body = "reload-" + std::to_string(reload);
            write_config(pattern, config, body);
            const std::vector<pid_t> old_workers = children_of(server.pid());
            const auto published = BenchClock::now();
            server.signal(SIGHUP);
            wait_answer(port, body);
            first_answers.push_back(since_ms(published));
            if (notifies) {
                wait_ready(notify, reload + 2);
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
