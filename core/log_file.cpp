#include "core/log_file.h"

#include "core/journal_entry.h"

#include <cerrno>
#include <climits>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
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

void LogFile::replace(LogTarget target) noexcept {
    struct stat status {};
    ::fstat(target.fd.get(), &status);
    const bool same_file = status.st_dev == device_ && status.st_ino == inode_;
    torn_ = torn_ && same_file;
    device_ = status.st_dev;
    inode_ = status.st_ino;
    target_ = std::move(target);
    kind_ = kind_of(status.st_mode);
}

LogFile::Kind LogFile::kind_of(mode_t mode) const noexcept {
    if (target_.is_journal()) return Kind::journal;
    if (target_.is_fifo()) return Kind::whole;
    if (S_ISSOCK(mode)) return Kind::socket;
    if (S_ISREG(mode)) return Kind::regular;
    const bool blocks = (::fcntl(target_.fd.get(), F_GETFL) & O_NONBLOCK) == 0;
    return blocks ? Kind::may_block : Kind::plain;
}

// pipe(7): what is not longer than PIPE_BUF is not mixed with what others write.
std::size_t LogFile::line_limit() const noexcept {
    return kind_ == Kind::may_block || kind_ == Kind::whole ? PIPE_BUF - 1 : LogLine::max_size;
}

ssize_t LogFile::write_once(std::string_view bytes) noexcept {
    if (kind_ == Kind::socket) return send_once(target_.fd.get(), bytes);
    if (kind_ == Kind::may_block) {
        pollfd room{target_.fd.get(), POLLOUT, 0};
        if (::poll(&room, 1, 0) != 1) {
            errno = EAGAIN;
            return -1;
        }
    }
    ssize_t result = 0;
    do {
        result = ::write(target_.fd.get(), bytes.data(), bytes.size());
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

// pipe(7): what is not longer than PIPE_BUF is taken as a whole or not at all. A line that is longer may be
// taken in parts, where that does not block.
std::string_view LogFile::portion_of(std::string_view lines) const noexcept {
    if (kind_ == Kind::regular) return lines;
    const std::string_view head = lines.substr(0, PIPE_BUF);
    const std::size_t end = head.rfind('\n');
    if (end != head.npos) return head.substr(0, end + 1);
    return kind_ == Kind::may_block ? head : lines.substr(0, lines.find('\n') + 1);
}

ssize_t LogFile::write_lines(std::string_view lines) noexcept {
    return kind_ == Kind::journal ? send_line(lines.substr(0, lines.find('\n')))
                                  : write_once(portion_of(lines));
}

// The line of a module, with its end.
ssize_t LogFile::send_line(std::string_view line) noexcept {
    JournalEntry entry;
    entry.begin();
    entry.append("MESSAGE", line);
    entry.append("PRIORITY", std::uint64_t{LOG_INFO});
    entry.append("SYSLOG_IDENTIFIER", "drover");
    entry.append("DROVER_ROLE", "module");
    return send_entry(entry.bytes()) ? static_cast<ssize_t>(line.size() + 1) : -1;
}

// Who listened may have gone, and another one may have come in his place.
bool LogFile::send_entry(std::string_view entry) noexcept {
    if (send_once(target_.fd.get(), entry) >= 0) return true;
    if (errno != ECONNREFUSED && errno != ECONNRESET && errno != ENOTCONN) return false;
    return connect_journal(target_.fd.get(), target_.name) && send_once(target_.fd.get(), entry) >= 0;
}

}  // namespace drover
