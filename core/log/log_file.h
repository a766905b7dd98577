// LogFile is where a Log's lines go, or those that a module gathers: an open file, terminal, pipe, socket or
// the journal, and what has to be known of it to write a line without blocking and without tearing it. Owned
// by a Log, or by a ModuleFile. Runs in: every process.
#pragma once

#include "core/log/log_line.h"
#include "core/log/log_target.h"

#include <climits>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <sys/types.h>

namespace drover {

class LogFile {
  public:
    void replace(LogTarget target) noexcept;
    explicit operator bool() const noexcept { return static_cast<bool>(target_.fd); }
    int fd() const noexcept { return target_.fd.get(); }

    // It takes entries (core/log/journal_entry.h), not lines.
    bool is_journal() const noexcept { return kind_ == Kind::journal; }
    std::size_t line_limit() const noexcept;
    // For write_lines.
    std::size_t longest_whole_line() const noexcept { return kind_ == Kind::pipe ? PIPE_BUF : SIZE_MAX; }
    // True when the whole line or entry was taken, in one call.
    bool write(const LogLine& line) noexcept;
    bool send_entry(std::string_view entry) noexcept;
    // Of `lines`, each with its end, writes as many as one call may take: all of them to a regular file, else
    // whole ones of at most PIPE_BUF bytes together, to the journal one. A line that a pipe would tear is cut
    // below PIPE_BUF, ends in "...", and counts as taken. How many bytes were taken; -1 and errno, EAGAIN
    // when there is no room now.
    ssize_t write_lines(std::string_view lines) noexcept;

  private:
    enum class Kind {
        regular,
        plain,
        may_block,  // it waits for room unless it is told not to
        pipe,       // or fifo:PATH: a line goes as a whole or not at all
        socket,
        journal,
    };

    Kind kind_of(mode_t mode) const noexcept;
    ssize_t write_once(std::string_view bytes) noexcept;
    ssize_t send_line(std::string_view line) noexcept;
    ssize_t write_cut(std::string_view line) noexcept;
    std::string_view portion_of(std::string_view lines) const noexcept;

    LogTarget target_;
    Kind kind_ = Kind::plain;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    bool torn_ = false;  // the last line has no end
};

}  // namespace drover
