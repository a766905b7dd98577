// Server is a Drover or an nginx that serves GET / with a short body, for comparisons: started, reloaded and
// watched in the same way. Owned by one bench; its folder and its processes go with it. Runs in: benches.
#pragma once

#include "tests/support/child.h"
#include "tests/support/ports.h"
#include "tests/support/status_view.h"
#include "tests/support/temporary_folder.h"

#include <cstdint>
#include <string>
#include <vector>

namespace drover::test {

enum class Kind : std::uint8_t { drover, nginx };

struct ServerOptions {
    Kind kind = Kind::drover;
    unsigned workers = 2;
    unsigned max_connections = 16384;   // a worker's
    std::string balance = "reuseport";  // Drover's; nginx has reuseport
    bool fresh = false;                 // Drover's: every reload starts new workers
    std::string pool = {};              // more lines of Drover's [pool.main]
};

std::string name_of(const ServerOptions& options);  // "drover, fresh, shared"

class Server {
  public:
    static std::string drover_program;  // set once, by main

    explicit Server(ServerOptions options);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::string name() const { return name_of(options_); }
    bool is_drover() const { return options_.kind == Kind::drover; }
    std::uint16_t port() const { return port_.number(); }
    std::uint16_t echo_port() const { return echo_port_.number(); }  // Drover's
    pid_t pid() const { return process_.pid(); }
    const std::string& body() const { return body_; }

    std::vector<pid_t> workers() const;  // of all generations
    std::size_t pss_kb() const;          // of all processes
    double cpu_ms() const;               // of the master
    StatusView status() const;           // Drover's
    std::string log() const;

    // Publishes a new body with this many workers. Returns at the verdict: Drover's own; nginx has none, so
    // at the first answer of the new configuration.
    void reload() { reload(options_.workers); }
    void reload(unsigned workers);
    // Waits until there are no workers but these many.
    void wait_workers(std::size_t count) const;

  private:
    void write_config() const;
    std::string drover_config() const;
    std::string nginx_config() const;

    ServerOptions options_;
    TemporaryFolder folder_;
    ReservedPort port_;
    ReservedPort echo_port_;
    unsigned round_ = 0;
    std::string body_;
    Child process_;
};

}  // namespace drover::test
