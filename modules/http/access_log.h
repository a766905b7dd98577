// AccessLog writes a line for each reply that has ended to a file: gathered, and written a second later at
// the latest. It never waits: what the file does not take at once is kept within bounds, then dropped and
// counted. The master opens the file, and reopens it when logs are rotated. Shared by the generations that
// name the same file. Runs in: worker.
#pragma once

#include "core/counters/counter.h"
#include "core/loop/event_loop.h"
#include "modules/http/access_line.h"
#include "worker/module/module_files.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace drover::http {

class AccessLog {
  public:
    // Written when this much is gathered.
    static constexpr std::size_t write_at = 32 * 1024;
    // Lines are dropped when this much waits.
    static constexpr std::size_t max_waiting = 256 * 1024;

    AccessLog(EventLoop& loop, std::shared_ptr<const ModuleFile> file, std::string_view format, Counter lost);
    ~AccessLog();
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    bool is(const std::shared_ptr<const ModuleFile>& file, std::string_view format) const noexcept {
        return file == file_ && format == line_.format();
    }
    void add(const AccessEntry& entry);
    // Writes what was gathered, as far as the file takes it.
    void flush() noexcept;
    // The same when the worker ends: waits half a second for a reader that is slow. Lines that are left when
    // this object goes are lost, and counted.
    void finish() noexcept;

  private:
    void on_timer();
    void follow_file() noexcept;

    EventLoop& loop_;
    std::shared_ptr<const ModuleFile> file_;
    AccessLine line_;
    Counter lost_;
    Timer timer_;
    unsigned replaced_;  // of the file, when it was last written to
    bool torn_ = false;  // lines_ begins in the middle of a line
    std::string lines_;
};

}  // namespace drover::http
