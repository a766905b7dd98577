// Log is where a process writes its lines: one write(2) a line on an O_APPEND descriptor, text or JSON, with
// role, pool and slot in each, or one entry with fields for systemd's journal. It never blocks and never
// fails its caller: a line that cannot be written (full disk, reader gone) is counted, and the first line
// that can be written again is preceded by one that says how many were lost. The one who decides logs, once;
// mechanisms do not log. spdlog is behind it, in log.cpp alone: single-threaded sinks, no registry, made
// again in each process. Runs in: every process, on its one thread.
#pragma once

#include "core/counters/counter.h"
#include "core/log/log_target.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace drover {

enum class LogLevel : std::uint8_t { debug, info, warning, error, critical, off };
const char* to_text(LogLevel level) noexcept;
enum class LogFormat : std::uint8_t { text, json };

// The process that logs: "master", "worker main/0", "config reader".
struct LogIdentity {
    std::string role;
    std::string pool;  // empty: none
    int slot = -1;     // -1: none
};

// The subject of a line when it is not the process that logs: fields of the journal.
struct LogSubject {
    std::string_view event = {};  // what kind of event it is; empty: none
    std::string_view pool = {};   // empty: pool and slot are the speaker's
    int slot = -1;
    pid_t pid = 0;                 // of a worker; 0: none
    std::uint64_t generation = 0;  // 0: the speaker's
};

class Log {
  public:
    // Until set_target lines go nowhere, on purpose: they do not count as lost.
    explicit Log(LogIdentity identity);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    // Takes over a new file; later lines go there. Nothing is lost between the two. A pipe or terminal should
    // be non-blocking (open_log_target sees to it); one that is not gets a line only when poll(2) says that
    // it has room, and lines below PIPE_BUF bytes.
    void set_target(LogTarget target) noexcept;
    void set_level(LogLevel level) noexcept { level_ = level; }
    void set_format(LogFormat format) noexcept;

    // That the speaker belongs to, 0 for none: a field of the journal.
    void set_generation(std::uint64_t generation) noexcept;

    LogLevel level() const noexcept { return level_; }
    bool enabled(LogLevel level) const noexcept { return level >= level_; }
    // Lines that could not be written, ever.
    std::uint64_t lost() const noexcept;
    // They are counted here, too: those of before now, later ones at once.
    void count_lost_in(Counter counter) noexcept;

    // Control characters in `message` are escaped, so that a line is one line; it is cut at 8 KiB. Level
    // `off` is no level of a line: nothing is written.
    void write(LogLevel level, std::string_view message) noexcept;
    void write(LogLevel level, std::string_view message, const LogSubject& subject) noexcept;
    void debug(std::string_view message) noexcept { write(LogLevel::debug, message); }
    void info(std::string_view message) noexcept { write(LogLevel::info, message); }
    void warning(std::string_view message) noexcept { write(LogLevel::warning, message); }
    void error(std::string_view message) noexcept { write(LogLevel::error, message); }
    void critical(std::string_view message) noexcept { write(LogLevel::critical, message); }

  private:
    struct Sink;  // spdlog's side
    LogLevel level_ = LogLevel::info;
    std::unique_ptr<Sink> sink_;
};

}  // namespace drover
