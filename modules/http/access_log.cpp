#include "modules/http/access_log.h"

#include "core/system_error.h"
#include "modules/http/http_connection.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

namespace drover::http {

namespace {

constexpr std::chrono::milliseconds write_after{1000};
constexpr mode_t file_mode = 0644;

UniqueFd open_log(const std::string& path) noexcept {
    // Not to wait for the other end of a FIFO, nor for a terminal.
    return UniqueFd(
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, file_mode));
}

// Where a connection comes from, without its port.
std::string peer_of(const HttpConnection& connection) {
    const Address address = connection.peer_address();
    std::string text = address.text();
    if (!address.is_unix()) text.resize(std::min(text.rfind(':'), text.size()));
    return text;
}

}  // namespace

AccessLog::AccessLog(EventLoop& loop, std::string path, AccessLogFormat format, Counter lost)
    : path_(std::move(path)),
      format_(format),
      lost_(lost),
      file_(open_log(path_)),
      timer_(loop, Timer::Handler::to<&AccessLog::on_timer>(this)) {
    if (!file_) throw_errno("open access_log", path_);
}

AccessLog::~AccessLog() {
    flush();
}

void AccessLog::add(const RequestHead& head, unsigned status, std::uint64_t body_size,
                    const HttpConnection& connection, const HttpDate& date) {
    if (lines_.size() >= max_waiting) return lost_.add();
    append_access_line(lines_, format_, head, status, body_size, peer_of(connection), date.second());
    if (lines_.size() >= write_at) flush();
    if (!lines_.empty() && !timer_.started()) timer_.start_once(write_after);
}

void AccessLog::on_timer() {
    follow_name();
    flush();
    if (!lines_.empty()) timer_.start_once(write_after);
}

void AccessLog::follow_name() noexcept {
    struct stat named {};
    struct stat open {};
    const bool is_there = ::stat(path_.c_str(), &named) == 0;
    if (::fstat(file_.get(), &open) != 0) return;
    if (is_there && named.st_dev == open.st_dev && named.st_ino == open.st_ino) return;
    // What was gathered for the file that was moved away belongs to it.
    flush();
    if (UniqueFd next = open_log(path_)) file_ = std::move(next);
}

void AccessLog::flush() noexcept {
    while (!lines_.empty()) {
        // Whole lines, so that those of several workers do not mix.
        const ssize_t written = ::write(file_.get(), lines_.data(), lines_.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && errno != EAGAIN) {
            lost_.add(static_cast<std::uint64_t>(std::ranges::count(lines_, '\n')));
            lines_.clear();
        }
        if (written <= 0) return;
        lines_.erase(0, static_cast<std::size_t>(written));
    }
}

}  // namespace drover::http
