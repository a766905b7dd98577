#include "core/log/log_file.h"

#include "core/log/journal_entry.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
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

// Refuses with EAGAIN what does not fit now (RWF_NOWAIT, which pipes have since Linux 6.4). A kernel without
// it is asked first whether there is room; the write can then still block, when another process takes the
// room in between.
ssize_t write_without_waiting(int fd, std::string_view bytes) noexcept {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    const ssize_t result = ::pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
    if (result >= 0 || errno == EAGAIN || errno == EPIPE) return result;
    pollfd room{fd, POLLOUT, 0};
    if (::poll(&room, 1, 0) == 1) return ::write(fd, bytes.data(), bytes.size());
    errno = EAGAIN;
    return -1;
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
    if (S_ISFIFO(mode)) return Kind::pipe;
    if (S_ISSOCK(mode)) return Kind::socket;
    if (S_ISREG(mode)) return Kind::regular;
    const bool blocks = (::fcntl(target_.fd.get(), F_GETFL) & O_NONBLOCK) == 0;
    return blocks ? Kind::may_block : Kind::plain;
}

// pipe(7): what is not longer than PIPE_BUF is not mixed with what others write.
std::size_t LogFile::line_limit() const noexcept {
    return kind_ == Kind::may_block || kind_ == Kind::pipe ? PIPE_BUF - 1 : LogLine::max_size;
}

ssize_t LogFile::write_once(std::string_view bytes) noexcept {
    if (kind_ == Kind::socket) return send_once(target_.fd.get(), bytes);
    ssize_t result = 0;
    do {
        const bool waits = kind_ == Kind::may_block || kind_ == Kind::pipe;
        result = waits ? write_without_waiting(target_.fd.get(), bytes)
                       : ::write(target_.fd.get(), bytes.data(), bytes.size());
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

// pipe(7): what is not longer than PIPE_BUF is taken as a whole or not at all.
std::string_view LogFile::portion_of(std::string_view lines) const noexcept {
    if (kind_ == Kind::regular) return lines;
    const std::string_view head = lines.substr(0, PIPE_BUF);
    const std::size_t end = head.rfind('\n');
    if (end != head.npos) return head.substr(0, end + 1);
    return kind_ == Kind::may_block ? head : lines.substr(0, lines.find('\n') + 1);
}

ssize_t LogFile::write_lines(std::string_view lines) noexcept {
    const std::string_view first = lines.substr(0, lines.find('\n'));
    if (kind_ == Kind::journal) return send_line(first);
    return kind_ == Kind::pipe && first.size() >= PIPE_BUF ? write_cut(first) : write_once(portion_of(lines));
}

// A pipe would take a line of this length in parts, and others' lines between them.
ssize_t LogFile::write_cut(std::string_view line) noexcept {
    constexpr std::string_view mark = "...\n";
    std::array<char, PIPE_BUF - 1> cut;
    std::size_t kept = cut.size() - mark.size();
    while (kept > 0 && (static_cast<unsigned char>(line[kept]) & 0xc0) == 0x80)
        --kept;
    const auto end = std::ranges::copy(line.substr(0, kept), cut.begin()).out;
    const auto size = static_cast<std::size_t>(std::ranges::copy(mark, end).out - cut.begin());
    return write_once({cut.data(), size}) < 0 ? -1 : static_cast<ssize_t>(line.size() + 1);
}

// The line of a module, with its end.
ssize_t LogFile::send_line(std::string_view line) noexcept {
    JournalEntry entry;
    entry.begin();
    entry.append("MESSAGE", line);
    entry.append("PRIORITY", std::uint64_t{LOG_INFO});
    entry.append("SYSLOG_IDENTIFIER", std::string_view(program_invocation_short_name));
    entry.append("DROVER_ROLE", "module");
    return send_entry(entry.bytes()) ? static_cast<ssize_t>(line.size() + 1) : -1;
}

// The journal that listened may have gone, and another one may have taken its place.
bool LogFile::send_entry(std::string_view entry) noexcept {
    if (send_once(target_.fd.get(), entry) >= 0) return true;
    if (errno != ECONNREFUSED && errno != ECONNRESET && errno != ENOTCONN) return false;
    return connect_journal(target_.fd.get(), target_.name) && send_once(target_.fd.get(), entry) >= 0;
}

}  // namespace drover
