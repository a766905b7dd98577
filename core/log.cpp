#include "core/log.h"

#include "core/log_line.h"
#include "core/system_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace drover {

namespace {

using SystemTime = std::chrono::system_clock::time_point;

constexpr std::size_t max_identity_part = 64;
constexpr std::array<const char*, 6> level_names = {"debug", "info", "warning", "error", "critical", "off"};

// spdlog's levels have "trace" below ours.
spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
    return static_cast<spdlog::level::level_enum>(static_cast<int>(level) + 1);
}

std::string_view name_of(spdlog::level::level_enum level) noexcept {
    return level_names[std::min(static_cast<std::size_t>(level) - 1, level_names.size() - 1)];
}

// Formats into a LogLine without allocating; for short parts.
template <class... Args>
void append_formatted(LogLine& line, fmt::format_string<const Args&...> format, const Args&... args) {
    char part[64];
    const auto end = fmt::format_to_n(part, sizeof part, format, args...).out;
    line.append({part, static_cast<std::size_t>(end - part)});
}

std::string escaped(std::string_view text, LogEscape escape) {
    LogLine line;
    line.begin(LogLine::min_limit);
    line.append_escaped(text.substr(0, max_identity_part), escape);
    return std::string(line.line());
}

std::string identity_text(const LogIdentity& identity) {
    std::string text = escaped(identity.role, LogEscape::text);
    if (!identity.pool.empty()) text += " " + escaped(identity.pool, LogEscape::text);
    if (identity.slot >= 0) text += fmt::format("/{}", identity.slot);
    return text;
}

std::string identity_json(const LogIdentity& identity) {
    const std::string pool =
        identity.pool.empty() ? "null" : fmt::format("\"{}\"", escaped(identity.pool, LogEscape::json));
    const std::string slot = identity.slot < 0 ? "null" : std::to_string(identity.slot);
    return fmt::format(R"("role":"{}","pool":{},"slot":{})", escaped(identity.role, LogEscape::json), pool,
                       slot);
}

// The open file, and what has to be known of it to write a line without blocking or tearing.
class LogFile {
  public:
    void replace(UniqueFd fd) noexcept;
    explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    std::size_t line_limit() const noexcept { return may_block_ ? PIPE_BUF - 1 : LogLine::max_size; }
    // True when the whole line was taken, in one call.
    bool write(const LogLine& line) noexcept;

  private:
    ssize_t write_once(std::string_view bytes) noexcept;

    UniqueFd fd_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    bool is_socket_ = false;
    bool may_block_ = false;
    bool torn_ = false;  // the last line has no end
};

void LogFile::replace(UniqueFd fd) noexcept {
    struct stat status {};
    ::fstat(fd.get(), &status);
    const bool same_file = status.st_dev == device_ && status.st_ino == inode_;
    torn_ = torn_ && same_file;
    device_ = status.st_dev;
    inode_ = status.st_ino;
    is_socket_ = S_ISSOCK(status.st_mode);
    const int flags = ::fcntl(fd.get(), F_GETFL);
    may_block_ = !is_socket_ && !S_ISREG(status.st_mode) && (flags & O_NONBLOCK) == 0;
    fd_ = std::move(fd);
}

ssize_t LogFile::write_once(std::string_view bytes) noexcept {
    if (may_block_) {
        pollfd room{fd_.get(), POLLOUT, 0};
        if (::poll(&room, 1, 0) != 1) return -1;
    }
    ssize_t result = 0;
    do {
        result = is_socket_ ? ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                            : ::write(fd_.get(), bytes.data(), bytes.size());
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

class LineSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    explicit LineSink(const LogIdentity& identity)
        : text_identity_(identity_text(identity)), json_identity_(identity_json(identity)) {}

    void set_file(UniqueFd file) noexcept { file_.replace(std::move(file)); }
    void set_format(LogFormat format) noexcept {
        format_ = format;
        calendar_second_ = -1;
    }
    std::uint64_t lost() const noexcept { return lost_; }

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override {}

  private:
    bool write_line(SystemTime time, spdlog::level::level_enum level, std::string_view message);
    void append_head(SystemTime time, std::string_view level);
    const std::tm& calendar(std::time_t second);

    const std::string text_identity_;
    const std::string json_identity_;
    LogFile file_;
    LogFormat format_ = LogFormat::text;
    std::uint64_t lost_ = 0;
    std::uint64_t lost_unsaid_ = 0;  // since the last line that told of losses
    std::tm calendar_{};
    std::time_t calendar_second_ = -1;
    LogLine line_;
};

void LineSink::sink_it_(const spdlog::details::log_msg& message) {
    if (!file_) return;
    if (lost_unsaid_ != 0) {
        char text[64];
        const auto end = fmt::format_to_n(text, sizeof text, "{} log {} lost", lost_unsaid_,
                                          lost_unsaid_ == 1 ? "line was" : "lines were")
                             .out;
        const std::string_view said(text, static_cast<std::size_t>(end - text));
        if (write_line(message.time, spdlog::level::warn, said)) lost_unsaid_ = 0;
    }
    // While the loss cannot be told, the line behind it would be out of order.
    const std::string_view payload(message.payload.data(), message.payload.size());
    if (lost_unsaid_ == 0 && write_line(message.time, message.level, payload)) return;
    ++lost_;
    ++lost_unsaid_;
}

bool LineSink::write_line(SystemTime time, spdlog::level::level_enum level, std::string_view message) {
    const bool json = format_ == LogFormat::json;
    line_.begin(file_.line_limit());
    append_head(time, name_of(level));
    line_.append_escaped(message, json ? LogEscape::json : LogEscape::text);
    line_.finish(json ? "\"}\n" : "\n");
    return file_.write(line_);
}

// The pid is asked for each time: a child may still hold its parent's Log.
void LineSink::append_head(SystemTime time, std::string_view level) {
    const auto second = std::chrono::floor<std::chrono::seconds>(time);
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(time - second).count();
    const std::tm& now = calendar(std::chrono::system_clock::to_time_t(second));
    const bool json = format_ == LogFormat::json;
    if (json) line_.append(R"({"time":")");
    append_formatted(line_, "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}.{:03}", now.tm_year + 1900, now.tm_mon + 1,
                     now.tm_mday, json ? 'T' : ' ', now.tm_hour, now.tm_min, now.tm_sec, ms);
    if (json) {
        append_formatted(line_, R"(Z","level":"{}",)", level);
        line_.append(json_identity_);
        append_formatted(line_, R"(,"pid":{},"message":")", ::getpid());
    } else {
        append_formatted(line_, " [{}] ", level);
        line_.append(text_identity_);
        append_formatted(line_, " [{}]: ", ::getpid());
    }
}

const std::tm& LineSink::calendar(std::time_t second) {
    if (second == calendar_second_) return calendar_;
    format_ == LogFormat::json ? ::gmtime_r(&second, &calendar_) : ::localtime_r(&second, &calendar_);
    calendar_second_ = second;
    return calendar_;
}

[[noreturn]] void refuse_log_file(const std::string& target, std::string_view reason) {
    throw_error(EINVAL, "open", fmt::format("{} as a log file ({})", target, reason));
}

// What has another end may have nobody reading there, and a device may do anything.
void check_log_file_type(const std::string& target, const struct stat& status) {
    if (S_ISFIFO(status.st_mode)) refuse_log_file(target, "it is a FIFO");
    if (S_ISSOCK(status.st_mode)) refuse_log_file(target, "it is a socket");
    if (S_ISDIR(status.st_mode)) refuse_log_file(target, "it is a directory");
    if (S_ISBLK(status.st_mode)) refuse_log_file(target, "it is a block device");
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

}  // namespace

struct Log::Sink {
    explicit Sink(const LogIdentity& identity)
        : lines(std::make_shared<LineSink>(identity)), logger(std::string(), lines) {
        logger.set_level(spdlog::level::trace);
    }

    std::shared_ptr<LineSink> lines;
    spdlog::logger logger;
};

Log::Log(LogIdentity identity) : sink_(std::make_unique<Sink>(identity)) {}

Log::~Log() = default;

void Log::set_file(UniqueFd file) noexcept {
    sink_->lines->set_file(std::move(file));
}

void Log::set_format(LogFormat format) noexcept {
    sink_->lines->set_format(format);
}

std::uint64_t Log::lost() const noexcept {
    return sink_->lines->lost();
}

void Log::write(LogLevel level, std::string_view message) noexcept {
    if (!enabled(level) || level >= LogLevel::off) return;
    sink_->logger.log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

const char* to_text(LogLevel level) noexcept {
    return level_names[std::min(static_cast<std::size_t>(level), level_names.size() - 1)];
}

UniqueFd open_log_file(const std::string& target) {
    return target == "stderr" ? open_standard_error() : open_log_path(target);
}

}  // namespace drover
