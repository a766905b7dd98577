#include "master/file_registry.h"

#include "core/log_target.h"
#include "core/system_error.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace drover {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
    throw_error(EINVAL, "open", path + " as a module's log file (" + reason + ")");
}

bool same_file(const struct stat& left, const struct stat& right) noexcept {
    return left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

// What the name itself is, before anything is opened that does something when it is.
void check_type(const std::string& path, const struct stat& named) {
    if (S_ISLNK(named.st_mode)) refuse(path, "it is a symbolic link, which root does not follow");
    if (S_ISREG(named.st_mode)) return;
    if (!S_ISCHR(named.st_mode)) refuse(path, "it is no regular file");
    const bool is_null = named.st_rdev == makedev(1, 3);
    const UniqueFd device(is_null ? -1 : ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!is_null && ::isatty(device.get()) != 1)
        refuse(path, "it is a device other than a terminal or /dev/null");
}

// Who may put names into the folder must not get others' files written to: there is one name of the file,
// this one, and it belongs to root or to the folder's owner.
void check_owner(const std::string& path, const struct stat& folder, const struct stat& named) {
    if (named.st_nlink != 1) refuse(path, "it has another name, too (a hard link)");
    const bool root_alone = folder.st_uid == 0 && (folder.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    const bool sticky = (folder.st_mode & S_ISVTX) != 0;
    const bool folder_owners = !sticky && named.st_uid == folder.st_uid;
    if (!root_alone && named.st_uid != 0 && !folder_owners)
        refuse(path,
               "others than root may write to its folder, and it is neither root's nor the folder's owner's");
}

// The folder may be one that `user` can write to: he must not lead root to other files.
UniqueFd open_as_root(const std::string& path) {
    const std::filesystem::path parts(path);
    const UniqueFd folder(
        check_call(::open(parts.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), "open", path));
    struct stat folder_status {};
    check_call(::fstat(folder.get(), &folder_status), "fstat", path);
    if ((folder_status.st_mode & S_IWOTH) != 0 && (folder_status.st_mode & S_ISVTX) == 0)
        refuse(path, "everybody may write to its folder");
    const std::string name = parts.filename();
    struct stat named {};
    if (::fstatat(folder.get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0) check_type(path, named);
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    UniqueFd fd(check_call(::openat(folder.get(), name.c_str(), flags, 0640), "open", path));
    struct stat opened {};
    check_call(::fstat(fd.get(), &opened), "fstat", path);
    // Of the name, too: a link that is gone by now would leave a file with the one name that it has
    // elsewhere.
    check_call(::fstatat(folder.get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW), "stat", path);
    if (!same_file(opened, named)) refuse(path, "it was replaced meanwhile");
    check_type(path, named);
    if (S_ISREG(named.st_mode)) check_owner(path, folder_status, named);
    return fd;
}

UniqueFd open_file(const std::string& path) {
    return ::geteuid() == 0 ? open_as_root(path) : open_log_path(path);
}

}  // namespace

std::shared_ptr<const OpenedFile> FileRegistry::acquire(const std::string& path) {
    std::erase_if(files_, [](const auto& file) { return file.expired(); });
    for (const auto& known : files_) {
        if (const auto file = known.lock(); file->path == path && names_file(path, file->fd.get()))
            return file;
    }
    auto file = std::make_shared<OpenedFile>(OpenedFile{path, open_file(path)});
    files_.push_back(file);
    return file;
}

bool FileRegistry::moved() const {
    return std::ranges::any_of(files_, [](const auto& known) {
        const auto file = known.lock();
        return file != nullptr && !names_file(file->path, file->fd.get());
    });
}

std::vector<std::string> FileRegistry::reopen(const std::vector<std::shared_ptr<const OpenedFile>>& needed) {
    std::vector<std::pair<std::shared_ptr<OpenedFile>, UniqueFd>> opened;
    std::vector<std::string> failures;
    for (const auto& known : files_) {
        auto file = known.lock();
        if (file == nullptr) continue;
        try {
            UniqueFd fd = open_file(file->path);
            opened.emplace_back(std::move(file), std::move(fd));
        } catch (const std::system_error& failure) {
            if (std::ranges::find(needed, file) != needed.end()) throw;
            failures.emplace_back(failure.what());
        }
    }
    for (auto& [file, fd] : opened)
        file->fd = std::move(fd);
    return failures;
}

}  // namespace drover
