#include "core/log_file.h"

#include <cerrno>
#include <climits>
#include <cstddef>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover {

namespace {

ssize_t send_once(int fd, std::string_view bytes) noexcept {
    ssize_t result = 0;
    do {
        result = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    return result;
}

}  // namespace

void LogFile::replace(UniqueFd fd) noexcept {
    struct stat status {};
    ::fstat(fd.get(), &status);
    const bool same_file = status.st_dev == device_ && status.st_ino == inode_;
    torn_ = torn_ && same_file;
    device_ = status.st_dev;
    inode_ = status.st_ino;
    fd_ = std::move(fd);
    kind_ = kind_of(status.st_mode);
}

// What can be asked of the descriptor need not travel with it to other processes.
LogFile::Kind LogFile::kind_of(mode_t mode) noexcept {
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    if (S_ISREG(mode)) return Kind::plain;
    if (!S_ISSOCK(mode)) {
        if (S_ISFIFO(mode) && (flags & O_ACCMODE) == O_RDWR) return Kind::whole;
        return (flags & O_NONBLOCK) == 0 ? Kind::may_block : Kind::plain;
    }
    int type = 0;
    socklen_t size = sizeof type;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_TYPE, &type, &size);
    journal_size_ = sizeof journal_;
    auto* const name = reinterpret_cast<sockaddr*>(&journal_);
    const bool named = ::getpeername(fd_.get(), name, &journal_size_) == 0 &&
                       journal_.sun_family == AF_UNIX && journal_size_ > offsetof(sockaddr_un, sun_path);
    return type == SOCK_DGRAM && named ? Kind::journal : Kind::socket;
}

// pipe(7): what is not longer than PIPE_BUF is not mixed with what others write.
std::size_t LogFile::line_limit() const noexcept {
    return kind_ == Kind::may_block || kind_ == Kind::whole ? PIPE_BUF - 1 : LogLine::max_size;
}

ssize_t LogFile::write_once(std::string_view bytes) noexcept {
    if (kind_ == Kind::socket) return send_once(fd_.get(), bytes);
    if (kind_ == Kind::may_block) {
        pollfd room{fd_.get(), POLLOUT, 0};
        if (::poll(&room, 1, 0) != 1) return -1;
    }
    ssize_t result = 0;
    do {
        result = ::write(fd_.get(), bytes.data(), bytes.size());
    } while (result < 0 && errno == EINTR);
    return result;
}

bool LogFile::write(const LogLine& line) noexcept {
    const std::string_view bytes = torn_ ? line.line_on_a_fresh_line() : line.line();
    const ssize_t written = write_once(bytes);
    if (written == static_cast<ssize_t>(bytes.size())) {
        torn_ = false;
        return true;
    }
    torn_ = torn_ || written > 0;
    return false;
}

// Who listened may have gone, and another one may have come in his place.
bool LogFile::send_entry(std::string_view entry) noexcept {
    if (send_once(fd_.get(), entry) >= 0) return true;
    if (errno != ECONNREFUSED && errno != ECONNRESET && errno != ENOTCONN) return false;
    const auto* const name = reinterpret_cast<const sockaddr*>(&journal_);
    return ::connect(fd_.get(), name, journal_size_) == 0 && send_once(fd_.get(), entry) >= 0;
}

}  // namespace drover
