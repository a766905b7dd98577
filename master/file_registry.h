// FileRegistry opens the files that modules append to, as the master may and workers may not. Generations and
// workers that name one path share one description. A file lives as long as a generation holds it.
// Runs in: the master.
#pragma once

#include "core/unique_fd.h"

#include <memory>
#include <string>
#include <vector>

namespace drover {

struct OpenedFile {
    std::string path;  // absolute
    UniqueFd fd;       // another one after reopen()
};

class FileRegistry {
  public:
    // As open_log_path has it. Throws std::system_error.
    std::shared_ptr<const OpenedFile> acquire(const std::string& path);
    // Opens all of them anew. Throws std::system_error, with every file as it was.
    void reopen();

  private:
    std::vector<std::weak_ptr<OpenedFile>> files_;
};

}  // namespace drover
