// ModuleFiles are the files, or other targets of lines ("stdout", "journal", "fifo:PATH"), that the master
// has opened for this worker's modules: options declared with TextRule::master_file. The worker may have no
// right to open them itself. When the operator asks the master to reopen log files (USR1, `drover reopen`),
// the new file takes the old one's place here. Owned by the worker. Runs in: worker.
#pragma once

#include "core/base/unique_fd.h"
#include "core/log/log_target.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace drover {

class Configuration;
class LogFile;

class ModuleFile {
  public:
    explicit ModuleFile(LogTarget target);
    ~ModuleFile();
    ModuleFile(const ModuleFile&) = delete;
    ModuleFile& operator=(const ModuleFile&) = delete;

    // Appends some of `lines`, each of which has its end, and never waits. Returns how many bytes were taken,
    // counted from the first: write the others again, now or later. A file that is full may take a part of a
    // line; others take whole lines below PIPE_BUF bytes (4096), the journal one line at a time. -1 and errno
    // when none were: EAGAIN says that there is no room now, as in a pipe that nobody reads.
    ssize_t write(std::string_view lines) const noexcept;
    // Bytes, with the end: a longer line is cut and ends in "...". SIZE_MAX: none is.
    std::size_t longest_line() const noexcept;
    // Waits until it may have room, or `longest` has passed (then false). For a module that stops, when
    // nobody is served.
    bool wait_for_room(std::chrono::milliseconds longest) const noexcept;
    // How often another file has taken its place: a writer that has written a part of a line drops the rest
    // of it.
    unsigned replaced() const noexcept { return replaced_; }

  private:
    friend class ModuleFiles;
    void replace(UniqueFd fd) noexcept;

    const std::string name_;
    std::unique_ptr<LogFile> file_;
    unsigned replaced_ = 0;
};

class ModuleFiles {
  public:
    // For the value of such an option, not empty. In Module::start, and in prepare for the next
    // configuration. Throws std::out_of_range when the option was not declared so.
    std::shared_ptr<const ModuleFile> find(const Configuration& configuration, std::string_view value) const;

    // The worker's side: a file from the master; one of a configuration that is prepared, which leaves a file
    // that is in use where it is until then; that configuration's commit, and its end without one. Files that
    // the configuration that serves does not name are closed.
    void put(std::string_view path, UniqueFd fd);
    void put_next(std::string_view path, UniqueFd fd);
    void commit(const Configuration& serving) noexcept;
    void abandon(const Configuration& serving) noexcept;

  private:
    void keep_only(const Configuration& configuration) noexcept;

    std::map<std::string, std::shared_ptr<ModuleFile>, std::less<>> by_path_;  // absolute
    std::map<std::string, UniqueFd, std::less<>> next_;                        // for paths of by_path_
};

}  // namespace drover
