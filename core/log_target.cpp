// What a configuration calls log_file, opened.
#include "core/log.h"
#include "core/system_error.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

namespace drover {

namespace {

constexpr std::string_view journal_prefix = "journal:";
constexpr std::string_view fifo_prefix = "fifo:";
constexpr std::string_view journal_path = "/run/systemd/journal/socket";
// What may be on its way to the journal, as far as the kernel lets us (net.core.wmem_max).
constexpr int journal_buffer = 1024 * 1024;

[[noreturn]] void refuse_log_file(const std::string& target, std::string_view reason) {
    throw_error(EINVAL, "open", fmt::format("{} as a log file ({})", target, reason));
}

// What has another end may have nobody reading there, and a device may do anything.
void check_log_file_type(const std::string& target, const struct stat& status) {
    if (S_ISFIFO(status.st_mode)) refuse_log_file(target, "it is a FIFO; fifo:PATH writes to one");
    if (S_ISSOCK(status.st_mode)) refuse_log_file(target, "it is a socket");
    if (S_ISDIR(status.st_mode)) refuse_log_file(target, "it is a directory");
    if (S_ISBLK(status.st_mode)) refuse_log_file(target, "it is a block device");
}

UniqueFd open_standard_error() {
    struct stat status {};
    check_call(::fstat(STDERR_FILENO, &status), "fstat", "standard error");
    if (!S_ISSOCK(status.st_mode) && !S_ISREG(status.st_mode)) {
        const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
        UniqueFd own(::open("/proc/self/fd/2", flags));
        if (own) return own;
    }
    return UniqueFd(check_call(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), "fcntl", "standard error"));
}

// Connected, so that every process can send on it, whatever user it is.
UniqueFd open_journal(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) throw_error(ENAMETOOLONG, "connect", path);
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd socket(check_call(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &journal_buffer, sizeof journal_buffer);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    check_call(::connect(socket.get(), name, sizeof address), "connect", path + " as the journal");
    return socket;
}

// For reading, too (fifo(7)): this can be done without a reader, does not end with one, and he sees no end of
// file as long as the service lives.
UniqueFd open_fifo(const std::string& path) {
    if (path.empty()) throw_error(EINVAL, "open", "fifo: without a path as a log file");
    if (::mkfifo(path.c_str(), 0640) != 0 && errno != EEXIST) throw_errno("mkfifo", path);
    struct stat status {};
    // Before open(2), which may do anything to a device, and after it.
    check_call(::stat(path.c_str(), &status), "stat", path);
    if (!S_ISFIFO(status.st_mode)) refuse_log_file(path, "it is no FIFO");
    UniqueFd fd(check_call(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), "open", path));
    check_call(::fstat(fd.get(), &status), "fstat", path);
    if (!S_ISFIFO(status.st_mode)) refuse_log_file(path, "it is no FIFO");
    return fd;
}

}  // namespace

std::string absolute_log_target(std::string_view target, const std::string& directory) {
    if (target == "stderr" || target == "journal") return std::string(target);
    std::string_view path = target;
    for (const std::string_view prefix : {journal_prefix, fifo_prefix}) {
        if (target.starts_with(prefix)) path.remove_prefix(prefix.size());
    }
    const std::string_view prefix = target.substr(0, target.size() - path.size());
    if (path.empty()) return std::string(target);
    return std::string(prefix) + (std::filesystem::path(directory) / path).lexically_normal().string();
}

UniqueFd open_log_path(const std::string& target) {
    struct stat status {};
    // Before open(2), which would wait on or wake up some of what is refused here, and again after it for
    // what took the name in between.
    if (::stat(target.c_str(), &status) == 0) check_log_file_type(target, status);
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    UniqueFd fd(check_call(::open(target.c_str(), flags, 0640), "open", target));
    check_call(::fstat(fd.get(), &status), "fstat", target);
    check_log_file_type(target, status);
    const bool is_null = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
    if (S_ISCHR(status.st_mode) && !is_null && ::isatty(fd.get()) != 1) {
        refuse_log_file(target, "it is a device other than a terminal or /dev/null");
    }
    return fd;
}

UniqueFd open_log_file(const std::string& target) {
    if (target == "stderr") return open_standard_error();
    if (target == "journal") return open_journal(std::string(journal_path));
    if (target.starts_with(journal_prefix)) return open_journal(target.substr(journal_prefix.size()));
    if (target.starts_with(fifo_prefix)) return open_fifo(target.substr(fifo_prefix.size()));
    return open_log_path(target);
}

}  // namespace drover
