#include "core/log/log_path.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <filesystem>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr int most_links = 40;  // as path_resolution(7)
constexpr int file_flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
constexpr int fifo_flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
constexpr mode_t created_mode = 0640;

// Where a file is, with nothing left to be resolved if we are root.
struct Place {
    std::string name = {};
    UniqueFd folder = {};
    struct stat folder_status = {};

    bool guarded() const noexcept { return static_cast<bool>(folder); }
    int at() const noexcept { return guarded() ? folder.get() : AT_FDCWD; }
    int look(struct stat& status) const noexcept {
        return ::fstatat(at(), name.c_str(), &status, guarded() ? AT_SYMLINK_NOFOLLOW : 0);
    }
    UniqueFd open(int flags) const noexcept {
        return UniqueFd(::openat(at(), name.c_str(), flags | (guarded() ? O_NOFOLLOW : 0), created_mode));
    }
};

[[noreturn]] void refuse(const std::string& path, std::string_view reason) {
    throw_error(EINVAL, "open", fmt::format("{} as a log file ({})", path, reason));
}

bool same_file(const struct stat& one, const struct stat& other) noexcept {
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

bool root_alone_writes_to(const struct stat& folder) noexcept {
    return folder.st_uid == 0 && (folder.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool may_lead(const struct stat& folder, const struct stat& link) noexcept {
    return root_alone_writes_to(folder) || ((folder.st_mode & S_ISVTX) != 0 && link.st_uid == 0);
}

std::deque<std::string> parts_of(std::string_view path) {
    std::deque<std::string> parts;
    while (!path.empty()) {
        const std::string_view part = path.substr(0, path.find('/'));
        path.remove_prefix(std::min(part.size() + 1, path.size()));
        if (!part.empty()) parts.emplace_back(part);
    }
    return parts;
}

// Resolves a path as the kernel does, but for links that it may not follow.
class Walk {
  public:
    explicit Walk(const std::string& path) : path_(path), parts_(parts_of(path)) {
        enter(AT_FDCWD, path.starts_with('/') ? "/" : ".");
    }

    Place end() && {
        if (parts_.empty()) throw_error(ENOENT, "open", path_);
        for (;;) {
            place_.name = std::move(parts_.front());
            parts_.pop_front();
            struct stat named {};
            const bool there = place_.look(named) == 0;
            if (there && S_ISLNK(named.st_mode)) {
                follow(named);
            } else if (parts_.empty()) {
                return std::move(place_);
            } else {
                enter(place_.folder.get(), place_.name.c_str());
            }
        }
    }

  private:
    void enter(int from, const char* name) {
        const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        place_.folder = UniqueFd(check_call(::openat(from, name, flags), "open", path_));
        check_call(::fstat(place_.folder.get(), &place_.folder_status), "fstat", path_);
    }

    void follow(const struct stat& link) {
        if (!may_lead(place_.folder_status, link))
            refuse(path_,
                   place_.name + " is a symbolic link that is not root's alone, who does not follow it");
        if (++links_ > most_links) throw_error(ELOOP, "open", path_);
        std::array<char, 4096> target;
        const ssize_t size =
            ::readlinkat(place_.folder.get(), place_.name.c_str(), target.data(), target.size());
        if (size < 0) throw_errno("readlink", path_);
        const std::string_view to(target.data(), static_cast<std::size_t>(size));
        const std::deque<std::string> first = parts_of(to);
        parts_.insert(parts_.begin(), first.begin(), first.end());
        if (parts_.empty()) refuse(path_, "it is a directory");
        if (to.starts_with('/')) enter(AT_FDCWD, "/");
    }

    const std::string& path_;
    std::deque<std::string> parts_;
    Place place_;
    int links_ = 0;
};

Place place_of(const std::string& path) {
    if (::geteuid() != 0) return {.name = path};
    Place place = Walk(path).end();
    const mode_t mode = place.folder_status.st_mode;
    if ((mode & S_IWOTH) != 0 && (mode & S_ISVTX) == 0) refuse(path, "everybody may write to its folder");
    return place;
}

// Without opening a device, which may do anything then. The majors of Linux: consoles, and what is a terminal
// behind a program.
bool may_be_terminal(dev_t device) noexcept {
    constexpr unsigned consoles = 4;
    constexpr unsigned own_terminal = 5;
    constexpr unsigned first_pseudo = 136;
    constexpr unsigned last_pseudo = 143;
    const unsigned number = major(device);
    return number == consoles || number == own_terminal || (number >= first_pseudo && number <= last_pseudo);
}

// A file with another end, such as a FIFO, may have nobody who reads there.
void check_type(const std::string& path, const struct stat& status) {
    if (S_ISREG(status.st_mode)) return;
    if (S_ISFIFO(status.st_mode)) refuse(path, "it is a FIFO; \"fifo:PATH\" takes one");
    if (S_ISSOCK(status.st_mode)) refuse(path, "it is a socket");
    if (S_ISDIR(status.st_mode)) refuse(path, "it is a directory");
    const bool is_null = status.st_rdev == makedev(1, 3);
    if (!S_ISCHR(status.st_mode) || (!is_null && !may_be_terminal(status.st_rdev)))
        refuse(path, "it is a device other than a terminal or /dev/null");
}

// The standard descriptor that the path is another name of, or -1. A link to it is safe whoever made it: it
// leads to an output that we were given. A regular file has names of its own, which are resolved with care.
int standard_stream(const std::string& path) noexcept {
    struct stat named {};
    struct stat opened {};
    const bool there = ::stat(path.c_str(), &named) == 0;
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        const std::string number = std::to_string(fd);
        const bool by_name = path == (fd == STDOUT_FILENO ? "/dev/stdout" : "/dev/stderr") ||
                             path == "/dev/fd/" + number || path == "/proc/self/fd/" + number;
        if (by_name) return fd;
        if (there && !S_ISREG(named.st_mode) && ::fstat(fd, &opened) == 0 && same_file(named, opened))
            return fd;
    }
    return -1;
}

void check_owner(const std::string& path, const Place& place, const struct stat& named) {
    if (!place.guarded()) return;
    if (S_ISCHR(named.st_mode)) return;
    if (named.st_nlink != 1) refuse(path, "it has another name, too (a hard link)");
    const bool sticky = (place.folder_status.st_mode & S_ISVTX) != 0;
    const bool folder_owners = !sticky && named.st_uid == place.folder_status.st_uid;
    if (!root_alone_writes_to(place.folder_status) && named.st_uid != 0 && !folder_owners)
        refuse(path,
               "others than root may write to its folder, and it is neither root's nor the folder's owner's");
}

// Checks the opened file, which must still have this name. Through a link that has been removed meanwhile, a
// file would be opened whose only name is elsewhere.
void check_opened(const std::string& path, const Place& place, int fd) {
    if (!place.guarded()) return;
    struct stat opened {};
    struct stat named {};
    check_call(::fstat(fd, &opened), "fstat", path);
    if (place.look(named) != 0) throw_errno("stat", path);
    if (!same_file(named, opened)) refuse(path, "it was replaced meanwhile");
    check_owner(path, place, named);
}

// That what is there can be opened, or made where nothing is.
template <class CheckType>
void check_place(const std::string& path, const Place& place, const CheckType& type) {
    struct stat status {};
    if (place.look(status) == 0) {
        type(status);
        check_owner(path, place, status);
        check_call(::faccessat(place.at(), place.name.c_str(), W_OK, AT_EACCESS), "open", path);
        return;
    }
    if (errno != ENOENT || path.empty()) throw_errno("open", path);
    const std::string folder =
        place.guarded() ? "." : std::filesystem::path(path).replace_filename(".").string();
    check_call(::faccessat(place.at(), folder.c_str(), W_OK | X_OK, AT_EACCESS), "open", path);
}

}  // namespace

UniqueFd open_log_path(const std::string& path) {
    if (const int stream = standard_stream(path); stream >= 0)
        return UniqueFd(check_call(reopen_for_appending(stream).release(), "open", path));
    const Place place = place_of(path);
    struct stat status {};
    // Before open(2), which would wait on or wake up some of what is refused here, and again after it for
    // what took the name in between.
    if (place.look(status) == 0) check_type(path, status);
    UniqueFd fd(check_call(place.open(file_flags).release(), "open", path));
    check_call(::fstat(fd.get(), &status), "fstat", path);
    check_type(path, status);
    check_opened(path, place, fd.get());
    return fd;
}

void check_log_path(const std::string& path) {
    if (standard_stream(path) >= 0) return;
    check_place(path, place_of(path), [&path](const struct stat& status) { check_type(path, status); });
}

void check_log_fifo(const std::string& path) {
    check_place(path, place_of(path), [&path](const struct stat& status) {
        if (!S_ISFIFO(status.st_mode)) refuse(path, "it is no FIFO");
    });
}

UniqueFd open_log_fifo(const std::string& path) {
    const Place place = place_of(path);
    if (::mkfifoat(place.at(), place.name.c_str(), created_mode) != 0 && errno != EEXIST)
        throw_errno("mkfifo", path);
    struct stat status {};
    if (place.look(status) != 0) throw_errno("stat", path);
    if (!S_ISFIFO(status.st_mode)) refuse(path, "it is no FIFO");
    UniqueFd fd(check_call(place.open(fifo_flags).release(), "open", path));
    check_call(::fstat(fd.get(), &status), "fstat", path);
    if (!S_ISFIFO(status.st_mode)) refuse(path, "it is no FIFO");
    check_opened(path, place, fd.get());
    return fd;
}

UniqueFd reopen_for_appending(int fd) noexcept {
    struct stat status {};
    ::fstat(fd, &status);
    const bool appends = (::fcntl(fd, F_GETFL) & O_APPEND) != 0;
    if (!S_ISSOCK(status.st_mode) && (appends || !S_ISREG(status.st_mode))) {
        char path[32];
        *fmt::format_to_n(path, sizeof path - 1, "/proc/self/fd/{}", fd).out = '\0';
        UniqueFd own(::open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        if (own) return own;
    }
    return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

bool names_file(const std::string& path, int fd) noexcept {
    struct stat named {};
    struct stat opened {};
    return ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &opened) == 0 && same_file(named, opened);
}

}  // namespace drover
