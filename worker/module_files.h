// ModuleFiles are the files that the master has opened for this worker's modules: options declared with
// TextRule::master_file. The worker may have no right to open them itself. When the operator asks the master
// to open log files anew (USR1, `drover reopen`), the new file takes the old one's place here.
// Owned by the worker. Runs in: worker.
#pragma once

#include "core/unique_fd.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace drover {

class Configuration;

class ModuleFile {
  public:
    explicit ModuleFile(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    // For appending (O_APPEND, and O_NONBLOCK where that means something). Do not keep it: another one may
    // stand here in the next turn of the loop.
    int fd() const noexcept { return fd_.get(); }
    // How often another file has taken its place: who has written a part of a line begins anew.
    unsigned replaced() const noexcept { return replaced_; }

  private:
    friend class ModuleFiles;
    void replace(UniqueFd fd) noexcept;

    UniqueFd fd_;
    unsigned replaced_ = 0;
};

class ModuleFiles {
  public:
    // For the value of such an option, not empty. In Module::start, and in prepare for the next
    // configuration. Throws std::out_of_range when the option was not declared so.
    std::shared_ptr<const ModuleFile> find(const Configuration& configuration, std::string_view value) const;

    // The worker's side: a file from the master; one of a configuration that is prepared, which leaves a file
    // that is in use where it is until then; that configuration's commit, and its end without one. What the
    // configuration that serves does not name is let go.
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
