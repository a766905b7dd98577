// Whether a directory that a configuration names can be used. Runs in: the config reader.
#pragma once

#include <string>

namespace drover {

// What keeps this process from using `path` as a directory with the rights `access` (X_OK to enter it, W_OK
// to make something in it): ENOENT, ENOTDIR, EACCES, EROFS and the like; 0: nothing.
int directory_error(const std::string& path, int access) noexcept;

}  // namespace drover
