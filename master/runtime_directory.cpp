#include "master/runtime_directory.h"

#include "core/system_error.h"

#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

namespace drover {

RuntimeDirectory::RuntimeDirectory(std::string path) : path_(std::move(path)), owner_(::getpid()) {
    made_ = ::mkdir(path_.c_str(), 0755) == 0;
    if (!made_ && errno != EEXIST) throw_errno("mkdir", path_);
    struct stat found {};
    check_call(::stat(path_.c_str(), &found), "stat", path_);
    if (!S_ISDIR(found.st_mode)) throw_error(ENOTDIR, "runtime_dir", path_);
}

RuntimeDirectory::~RuntimeDirectory() {
    if (made_ && owner_ == ::getpid()) ::rmdir(path_.c_str());
}

}  // namespace drover
