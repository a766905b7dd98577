// StatusView is `drover status --json` as a test reads it. Parsing throws when a documented member is missing
// or of another type, so every test that looks at the status also checks its shape. Runs in: tests.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace drover::test {

struct ReloadView {
    std::string result;
    std::uint64_t generation = 0;
    std::string error;
};

struct WorkerView {
    std::string pool;
    unsigned slot = 0;
    pid_t pid = 0;
    std::uint64_t generation = 0;
    std::string state;
    std::int64_t connections = 0;
    std::uint64_t accepted = 0;
    std::uint64_t restarts = 0;
    std::uint64_t deaths = 0;
    std::vector<std::string> recent_deaths;  // reasons, the newest first
};

struct StatusView {
    std::string version;
    pid_t pid = 0;
    std::string state;
    std::uint64_t generation = 0;
    std::optional<ReloadView> last_reload;
    bool on_probation = false;
    std::vector<WorkerView> workers;
    std::map<std::string, std::int64_t> counters;

    static StatusView parse(const std::string& json);

    // True when `count` workers serve this generation and there is no other one.
    bool serving(std::size_t count) const;
    std::vector<pid_t> pids() const;  // of workers that have a process
};

}  // namespace drover::test
