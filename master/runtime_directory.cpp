#include "master/runtime_directory.h"

#include "core/base/system_error.h"

#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

namespace drover {

RuntimeDirectory::RuntimeDirectory(std::string path) : path_(std::move(path)), owner_(::getpid()) {
    renew();
}

bool RuntimeDirectory::renew() {
    const bool made = ::mkdir(path_.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) throw_errno("mkdir", path_);
    made_ = made_ || made;
    struct stat found {};
    check_call(::stat(path_.c_str(), &found), "stat", path_);
    if (!S_ISDIR(found.st_mode)) throw_error(ENOTDIR, "runtime_dir", path_);
    return made;
}

RuntimeDirectory::~RuntimeDirectory() {
    if (made_ && owner_ == ::getpid()) ::rmdir(path_.c_str());
}

}  // namespace drover
