#include "modules/http/access_log.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace drover::http {

namespace {

constexpr std::chrono::milliseconds write_after{1000};
// How long a worker that ends waits for a slow reader.
constexpr std::chrono::milliseconds last_wait{500};

}  // namespace

AccessLog::AccessLog(EventLoop& loop, std::shared_ptr<const ModuleFile> file, std::string_view format,
                     Counter lost)
    : loop_(loop),
      file_(std::move(file)),
      line_(format),
      lost_(lost),
      timer_(loop, Timer::Handler::to<&AccessLog::on_timer>(this)),
      replaced_(file_->replaced()) {}

AccessLog::~AccessLog() {
    flush();
    lost_.add(static_cast<std::uint64_t>(std::ranges::count(lines_, '\n')));
}

void AccessLog::finish() noexcept {
    const std::int64_t end = loop_.now_ms() + last_wait.count();
    flush();
    while (!lines_.empty() && file_->wait_for_room(std::chrono::milliseconds(end - loop_.now_ms())))
        flush();
}

void AccessLog::add(const AccessEntry& entry) {
    if (lines_.size() >= max_waiting) return lost_.add();
    line_.append(lines_, entry, file_->longest_line());
    if (lines_.size() >= write_at) flush();
    if (!lines_.empty() && !timer_.started()) timer_.start_once(write_after);
}

void AccessLog::on_timer() {
    flush();
    if (!lines_.empty()) timer_.start_once(write_after);
}

// The rest of a line is not for another file.
void AccessLog::follow_file() noexcept {
    if (std::exchange(replaced_, file_->replaced()) == file_->replaced() || !torn_) return;
    lines_.erase(0, lines_.find('\n') + 1);
    lost_.add();
    torn_ = false;
}

void AccessLog::flush() noexcept {
    follow_file();
    while (!lines_.empty()) {
        const ssize_t written = file_->write(lines_);
        if (written < 0 && errno != EAGAIN) {
            lost_.add(static_cast<std::uint64_t>(std::ranges::count(lines_, '\n')));
            lines_.clear();
            torn_ = false;
        }
        if (written <= 0) return;
        torn_ = lines_[static_cast<std::size_t>(written) - 1] != '\n';
        lines_.erase(0, static_cast<std::size_t>(written));
    }
}

}  // namespace drover::http
