#include "master/pid_file.h"

#include "core/base/system_error.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
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

UniqueFd open_file(const std::string& path, mode_t mode) {
    // O_NONBLOCK: a FIFO of that name must not hold us up.
    constexpr int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    UniqueFd fd(check_call(::open(path.c_str(), flags, mode), "open", path));
    struct stat file {};
    check_call(::fstat(fd.get(), &file), "fstat", path);
    if (!S_ISREG(file.st_mode)) throw_error(EEXIST, "open", path + ": not a regular file");
    // Where the directory is another user's: he could hold the lock, or have us write into a file of ours.
    if (file.st_uid != ::geteuid())
        throw std::runtime_error(
            fmt::format("{} belongs to uid {}, not to the master's user (uid {}): remove it", path,
                        file.st_uid, ::geteuid()));
    if (file.st_nlink > 1) throw std::runtime_error(path + " has other names (hard links): remove it");
    return fd;
}

// True when `path` still names the file that `fd` has open.
bool is_same_file(int fd, const std::string& path) noexcept {
    struct stat opened {};
    struct stat named {};
    return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

// The pid that the file names; 0: none.
pid_t pid_in(const std::string& path) noexcept {
    char text[32];
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    const ssize_t size = fd ? ::pread(fd.get(), text, sizeof text, 0) : 0;
    pid_t pid = 0;
    if (size > 0) std::from_chars(text, text + size, pid);
    return std::max(pid, 0);
}

[[noreturn]] void throw_locked(const std::string& pid_path) {
    const pid_t pid = pid_in(pid_path);
    // Between its lock and its writing a master's file holds what an earlier one left.
    const bool alive = pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
    const std::size_t slash = pid_path.rfind('/');
    throw std::runtime_error(fmt::format("another master{} runs in {}",
                                         alive ? fmt::format(" (pid {})", pid) : "",
                                         slash == pid_path.npos ? "." : pid_path.substr(0, slash)));
}

std::string own_line() {
    return fmt::format("{}\n", ::getpid());
}

UniqueFd take_lock(const std::string& path, const std::string& pid_path) {
    for (unsigned round = 0; round < max_rounds; ++round) {
        UniqueFd fd = open_file(path, 0600);
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK) throw_locked(pid_path);
            if (errno != EINTR) throw_errno("flock", path);
        } else if (is_same_file(fd.get(), path)) {
            check_call(::fchmod(fd.get(), 0600), "fchmod", path);
            return fd;
        }
    }
    throw_error(EBUSY, "flock", path + ": the file changes all the time");
}

}  // namespace

PidFile::Lock::Lock(const std::string& pid_path)
    : path_(pid_path + ".lock"), owner_(::getpid()), fd_(take_lock(path_, pid_path)) {}

PidFile::Lock::~Lock() {
    if (held()) ::unlink(path_.c_str());
}

// Somebody may have removed ours, and another master may hold the lock of the one that is there now.
bool PidFile::Lock::held() const noexcept {
    return ::getpid() == owner_ && is_same_file(fd_.get(), path_);
}

void PidFile::Lock::take_again(const std::string& pid_path) {
    fd_ = take_lock(path_, pid_path);
}

PidFile::PidFile(const std::string& path) : path_(path), lock_(path) {
    write();
}

void PidFile::write() const {
    const UniqueFd file = open_file(path_, 0644);
    const std::string text = own_line();
    // In this order the file is never empty for one who reads it meanwhile.
    const ssize_t size = ::pwrite(file.get(), text.data(), text.size(), 0);
    const bool written = size == static_cast<ssize_t>(text.size());
    if (written && ::ftruncate(file.get(), size) == 0) return;
    const int error = size >= 0 && !written ? ENOSPC : errno;
    ::unlink(path_.c_str());
    throw_error(error, "write", path_);
}

bool PidFile::names_us() const noexcept {
    return pid_in(path_) == ::getpid();
}

bool PidFile::renew() {
    const bool held = lock_.held();
    if (held && names_us()) return false;
    if (!held) lock_.take_again(path_);
    write();
    return true;
}

// A line of /proc/locks is "7: FLOCK  ADVISORY  WRITE 1234 fe:00:131 0 EOF" (proc(5)). The device is not
// compared: that of an overlay differs from what stat(2) says.
pid_t PidFile::running_master(const std::string& path) {
    const pid_t pid = pid_in(path);
    struct stat lock {};
    if (pid == 0 || ::lstat((path + ".lock").c_str(), &lock) != 0) return 0;
    std::ifstream locks("/proc/locks");
    const std::string inode = fmt::format(":{}", lock.st_ino);
    for (std::string number, kind, mode, access, holder, place, rest;
         locks >> number >> kind >> mode >> access >> holder >> place && std::getline(locks, rest);) {
        if (kind == "FLOCK" && holder == std::to_string(pid) && place.ends_with(inode)) return pid;
    }
    return 0;
}

PidFile::~PidFile() {
    if (lock_.held()) ::unlink(path_.c_str());
}

}  // namespace drover
