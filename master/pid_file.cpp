#include "master/pid_file.h"

#include "core/system_error.h"

#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover {

namespace {

// Each round lost means that another master has just removed the file and is gone.
constexpr unsigned max_rounds = 100;

UniqueFd open_pid_file(const std::string& path) {
    // O_NONBLOCK: a FIFO of that name must not hold us up.
    constexpr int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    UniqueFd fd(check_call(::open(path.c_str(), flags, 0644), "open", path));
    struct stat file {};
    check_call(::fstat(fd.get(), &file), "fstat", path);
    if (!S_ISREG(file.st_mode)) throw_error(EEXIST, "open", path + ": not a regular file");
    return fd;
}

// True when `path` still names the file that `fd` has open.
bool is_same_file(int fd, const std::string& path) noexcept {
    struct stat opened {};
    struct stat named {};
    return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

[[noreturn]] void throw_locked(int fd, const std::string& path) {
    char text[32];
    const ssize_t size = ::pread(fd, text, sizeof text, 0);
    pid_t pid = 0;
    if (size > 0) std::from_chars(text, text + size, pid);
    // Between its lock and its writing a master's file holds what an earlier one left.
    const bool alive = pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
    const std::size_t slash = path.rfind('/');
    throw std::runtime_error(fmt::format("another master{} runs in {}",
                                         alive ? fmt::format(" (pid {})", pid) : "",
                                         slash == path.npos ? "." : path.substr(0, slash)));
}

UniqueFd lock_pid_file(const std::string& path) {
    for (unsigned round = 0; round < max_rounds; ++round) {
        UniqueFd fd = open_pid_file(path);
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK) throw_locked(fd.get(), path);
            if (errno != EINTR) throw_errno("flock", path);
        } else if (is_same_file(fd.get(), path)) {
            return fd;
        }
    }
    throw_error(EBUSY, "flock", path + ": the file changes all the time");
}

}  // namespace

PidFile::PidFile(const std::string& path) : path_(path), fd_(lock_pid_file(path)), owner_(::getpid()) {
    const std::string text = fmt::format("{}\n", owner_);
    // In this order the file is never empty for one who reads it meanwhile.
    const ssize_t size = ::pwrite(fd_.get(), text.data(), text.size(), 0);
    const bool written = size == static_cast<ssize_t>(text.size());
    if (written && ::ftruncate(fd_.get(), size) == 0) return;
    const int error = size >= 0 && !written ? ENOSPC : errno;
    remove();
    throw_error(error, "write", path);
}

PidFile::~PidFile() {
    if (::getpid() == owner_) remove();
}

void PidFile::remove() noexcept {
    // Somebody may have removed ours, and another master may hold the lock of the one that is there now.
    if (is_same_file(fd_.get(), path_)) ::unlink(path_.c_str());
}

}  // namespace drover
