#include "tests/bench/reload/servers.h"

#include "tests/support/control_call.h"
#include "tests/support/deadline.h"
#include "tests/support/proc.h"
#include "tests/support/timing.h"

#include <csignal>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace drover::test {

std::string Server::drover_program;

std::string name_of(const ServerOptions& options) {
    if (options.kind == Kind::nginx) return "nginx";
    return std::string("drover, ") + (options.fresh ? "fresh" : "hot") + ", " + options.balance;
}

Server::Server(ServerOptions options) : options_(std::move(options)), body_("round 0") {
    write_config();
    const std::string config = folder_.file("config");
    const UniqueFd output(
        ::open(folder_.file("output").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::vector<std::string> command =
        is_drover() ? std::vector<std::string>{drover_program, "run", "-c", config}
                    : std::vector<std::string>{"nginx", "-e", "stderr", "-c", config};
    process_ = Child::start(command, {.output = output.get(), .errors = output.get()});
    wait_answer(port(), body_);
    wait_workers(options_.workers);
}

Server::~Server() {
    try {
        process_.signal(SIGTERM);
        process_.wait_exit();
    } catch (const std::exception&) {
        // A Child that still runs is killed.
    }
}

void Server::write_config() const {
    replace_file(folder_.file("config"), is_drover() ? drover_config() : nginx_config());
}

std::string Server::drover_config() const {
    const auto listen = [&](const ReservedPort& port, const char* module) {
        return "[[pool.main.listen]]\naddress = \"" + port.address() + "\"\nmodule = \"" + module +
               "\"\nbalance = \"" + options_.balance + "\"\n";
    };
    return std::string("[master]\nruntime_dir = \"run\"\nreload = \"") + (options_.fresh ? "fresh" : "auto") +
           "\"\n[pool.main]\nworkers = " + std::to_string(options_.workers) +
           "\nmodules = [\"http\", \"echo\"]\nmax_connections = " + std::to_string(options_.max_connections) +
           "\ndrain_timeout = \"2s\"\n" + options_.pool + listen(port_, "http") + listen(echo_port_, "echo") +
           "[[module.http.route]]\npath = \"/\"\nreturn = { body = \"" + body_ + "\" }\n";
}

std::string Server::nginx_config() const {
    std::string text = "worker_processes " + std::to_string(options_.workers) + ";\ndaemon off;\n" +
                       "error_log stderr crit;\npid " + folder_.file("pid") + ";\nworker_rlimit_nofile " +
                       std::to_string(options_.max_connections + 100) + ";\nevents { worker_connections " +
                       std::to_string(options_.max_connections) +
                       "; }\nhttp {\naccess_log off;\nkeepalive_requests 1000000000;\n" +
                       "keepalive_timeout 300s;\n";
    for (const char* part : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
        text += std::string(part) + "_temp_path " + folder_.file(part) + ";\n";
    return text + "server { listen " + port_.address() +
           " reuseport backlog=4096;\nlocation / { default_type text/plain; return 200 \"" + body_ +
           "\"; } }\n}\n";
}

std::vector<pid_t> Server::workers() const {
    return workers_of(pid());
}

std::size_t Server::pss_kb() const {
    std::size_t sum = pss_kb_of(pid());
    for (const pid_t child : children_of(pid()))
        sum += pss_kb_of(child);
    return sum;
}

double Server::cpu_ms() const {
    const std::string stat = read_file("/proc/" + std::to_string(pid()) + "/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i)  // proc(5): utime and stime are the 14th and 15th
        fields >> skipped;
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return (user + system) * 1000 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

StatusView Server::status() const {
    return StatusView::parse(ControlCall(folder_.file("run/control.sock"), "status", "json").wait().text);
}

std::string Server::log() const {
    return read_file(folder_.file("output"));
}

void Server::reload(unsigned workers) {
    options_.workers = workers;
    body_ = "round " + std::to_string(++round_);
    write_config();
    if (is_drover()) {
        const ControlReply reply = ControlCall(folder_.file("run/control.sock"), "reload").wait();
        if (!reply.ok) throw std::runtime_error("reload refused: " + reply.text);
    } else {
        process_.signal(SIGHUP);
        wait_answer(port(), body_);
    }
}

void Server::wait_workers(std::size_t count) const {
    const Deadline deadline(std::chrono::seconds(60));
    while (workers().size() != count) {
        if (deadline.passed()) throw std::runtime_error(name() + ": workers did not come or go");
        ::poll(nullptr, 0, 2);
    }
}

}  // namespace drover::test
