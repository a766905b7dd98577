#include "core/log/log.h"

#include "core/log/journal_entry.h"
#include "core/log/log_file.h"
#include "core/log/log_line.h"
#include "core/log/zone_offset.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <utility>

#include <errno.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <syslog.h>
#include <unistd.h>

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

// syslog(3)'s.
int priority_of(spdlog::level::level_enum level) noexcept {
    constexpr std::array priorities{LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT};
    return priorities[std::min(static_cast<std::size_t>(level) - 1, priorities.size() - 1)];
}

// Formats into a LogLine without allocating; for short parts.
template <class... Args>
void append_formatted(LogLine& line, fmt::format_string<const Args&...> format, const Args&... args) {
    char part[64];
    const auto end = fmt::format_to_n(part, sizeof part, format, args...).out;
    line.append({part, static_cast<std::size_t>(end - part)});
}

std::string escaped(std::string_view text, TextEscape escape) {
    LogLine line;
    line.begin(LogLine::min_limit);
    line.append_escaped(text.substr(0, max_identity_part), escape);
    return std::string(line.line());
}

std::string identity_text(const LogIdentity& identity) {
    std::string text = escaped(identity.role, TextEscape::text);
    if (!identity.pool.empty()) text += " " + escaped(identity.pool, TextEscape::text);
    if (identity.slot >= 0) text += fmt::format("/{}", identity.slot);
    return text;
}

std::string identity_json(const LogIdentity& identity) {
    const std::string pool =
        identity.pool.empty() ? "null" : fmt::format("\"{}\"", escaped(identity.pool, TextEscape::json));
    const std::string slot = identity.slot < 0 ? "null" : std::to_string(identity.slot);
    return fmt::format(R"("role":"{}","pool":{},"slot":{})", escaped(identity.role, TextEscape::json), pool,
                       slot);
}

class LineSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    explicit LineSink(const LogIdentity& identity)
        : identity_(identity),
          text_identity_(identity_text(identity)),
          json_identity_(identity_json(identity)) {}

    void set_target(LogTarget target) noexcept { file_.replace(std::move(target)); }
    void set_format(LogFormat format) noexcept {
        format_ = format;
        calendar_second_ = -1;
    }
    void set_generation(std::uint64_t generation) noexcept { generation_ = generation; }
    // Of the next line; null: it is about nothing but who speaks.
    void set_subject(const LogSubject* subject) noexcept { subject_ = subject; }
    std::uint64_t lost() const noexcept { return lost_; }
    void count_lost_in(Counter counter) noexcept {
        lost_counter_ = counter;
        lost_counter_.add(lost_ - lost_counter_.value());
    }

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override {}

  private:
    bool write_line(SystemTime time, spdlog::level::level_enum level, std::string_view message);
    bool send_entry(spdlog::level::level_enum level, std::string_view message);
    void append_head(SystemTime time, std::string_view level);
    const std::tm& calendar(std::time_t second);

    const LogIdentity identity_;
    const std::string text_identity_;
    const std::string json_identity_;
    LogFile file_;
    LogFormat format_ = LogFormat::text;
    std::uint64_t lost_ = 0;
    Counter lost_counter_;
    std::uint64_t lost_unsaid_ = 0;  // since the last line that told of losses
    std::tm calendar_{};
    std::time_t calendar_second_ = -1;
    ZoneOffset offset_;  // of calendar_
    LogLine line_;
    JournalEntry entry_;
    const LogSubject* subject_ = nullptr;
    std::uint64_t generation_ = 0;
};

void LineSink::sink_it_(const spdlog::details::log_msg& message) {
    if (!file_) return;
    if (lost_unsaid_ != 0) {
        char text[64];
        const auto end = fmt::format_to_n(text, sizeof text, "{} log {} lost", lost_unsaid_,
                                          lost_unsaid_ == 1 ? "line was" : "lines were")
                             .out;
        const std::string_view said(text, static_cast<std::size_t>(end - text));
        const LogSubject* const subject = std::exchange(subject_, nullptr);
        if (write_line(message.time, spdlog::level::warn, said)) lost_unsaid_ = 0;
        subject_ = subject;
    }
    // While the loss cannot be told, the line behind it would be out of order.
    const std::string_view payload(message.payload.data(), message.payload.size());
    if (lost_unsaid_ == 0 && write_line(message.time, message.level, payload)) return;
    ++lost_;
    ++lost_unsaid_;
    lost_counter_.add();
}

bool LineSink::write_line(SystemTime time, spdlog::level::level_enum level, std::string_view message) {
    if (file_.is_journal()) return send_entry(level, message);
    const bool json = format_ == LogFormat::json;
    line_.begin(file_.line_limit());
    append_head(time, name_of(level));
    line_.append_escaped(message, json ? TextEscape::json : TextEscape::text);
    line_.finish(json ? "\"}\n" : "\n");
    return file_.write(line_);
}

// The journal itself adds time, pid, user and unit.
bool LineSink::send_entry(spdlog::level::level_enum level, std::string_view message) {
    const LogSubject nothing;
    const LogSubject& subject = subject_ != nullptr ? *subject_ : nothing;
    const bool about_other = !subject.pool.empty();
    const std::string_view pool = about_other ? subject.pool : std::string_view(identity_.pool);
    const int slot = about_other ? subject.slot : identity_.slot;
    const std::uint64_t generation = subject.generation != 0 ? subject.generation : generation_;
    entry_.begin();
    entry_.append("MESSAGE", message);
    entry_.append("PRIORITY", static_cast<std::uint64_t>(priority_of(level)));
    entry_.append("SYSLOG_IDENTIFIER", std::string_view(program_invocation_short_name));
    entry_.append("DROVER_ROLE", std::string_view(identity_.role).substr(0, max_identity_part));
    if (!pool.empty()) entry_.append("DROVER_POOL", pool.substr(0, max_identity_part));
    if (slot >= 0) entry_.append("DROVER_SLOT", static_cast<std::uint64_t>(slot));
    if (generation != 0) entry_.append("DROVER_GENERATION", generation);
    if (subject.pid != 0) entry_.append("DROVER_WORKER_PID", static_cast<std::uint64_t>(subject.pid));
    if (!subject.event.empty()) entry_.append("DROVER_EVENT", subject.event);
    return file_.send_entry(entry_.bytes());
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
        append_formatted(line_, " {} [{}] ", offset_.text, level);
        line_.append(text_identity_);
        append_formatted(line_, " [{}]: ", ::getpid());
    }
}

const std::tm& LineSink::calendar(std::time_t second) {
    if (second == calendar_second_) return calendar_;
    format_ == LogFormat::json ? ::gmtime_r(&second, &calendar_) : ::localtime_r(&second, &calendar_);
    offset_ = zone_offset(calendar_);
    calendar_second_ = second;
    return calendar_;
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

void Log::set_target(LogTarget target) noexcept {
    sink_->lines->set_target(std::move(target));
}

void Log::set_format(LogFormat format) noexcept {
    sink_->lines->set_format(format);
}

std::uint64_t Log::lost() const noexcept {
    return sink_->lines->lost();
}

void Log::count_lost_in(Counter counter) noexcept {
    sink_->lines->count_lost_in(counter);
}

void Log::set_generation(std::uint64_t generation) noexcept {
    sink_->lines->set_generation(generation);
}

void Log::write(LogLevel level, std::string_view message) noexcept {
    if (!enabled(level) || level >= LogLevel::off) return;
    sink_->logger.log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

void Log::write(LogLevel level, std::string_view message, const LogSubject& subject) noexcept {
    sink_->lines->set_subject(&subject);
    write(level, message);
    sink_->lines->set_subject(nullptr);
}

const char* to_text(LogLevel level) noexcept {
    return level_names[std::min(static_cast<std::size_t>(level), level_names.size() - 1)];
}

}  // namespace drover
