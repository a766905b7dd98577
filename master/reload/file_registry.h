// FileRegistry opens the files that modules append to, as the master may and workers may not. Generations
// that name one path share one description; workers get one of their own. A file lives as long as a
// generation holds it. Runs in: the master.
#pragma once

#include "core/log/log_target.h"

#include <memory>
#include <string>
#include <vector>

namespace drover {

using OpenedFile = LogTarget;  // by its absolute name; its descriptor is another one after reopen()

class FileRegistry {
  public:
    // Another one than before when the name means another file by now. Throws std::system_error
    // (core/log/log_target.h).
    std::shared_ptr<const OpenedFile> acquire(const std::string& name);
    // The path of one means another file by now, or none.
    static bool moved(const std::vector<std::shared_ptr<const OpenedFile>>& files);
    // Reopens all of them. Throws std::system_error when one of `needed` cannot be had: every file is as it
    // was then, new ones may have been created. Returns why others could not, which stay as they are.
    std::vector<std::string> reopen(const std::vector<std::shared_ptr<const OpenedFile>>& needed);

  private:
    std::vector<std::weak_ptr<OpenedFile>> files_;
};

}  // namespace drover
