#include "master/event_log.h"

#include "core/base/json_writer.h"
#include "core/log/zone_offset.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/format.h>

namespace drover {

namespace {

std::string time_text(const std::tm& time, char separator, std::int64_t time_ms) {
    return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}.{:03}", time.tm_year + 1900, time.tm_mon + 1,
                       time.tm_mday, separator, time.tm_hour, time.tm_min, time.tm_sec, time_ms % 1000);
}

std::string utc_text(std::int64_t time_ms) {
    const std::time_t second = time_ms / 1000;
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    return time_text(utc, 'T', time_ms) + "Z";
}

std::string local_text(std::int64_t time_ms) {
    const std::time_t second = time_ms / 1000;
    std::tm local{};
    ::localtime_r(&second, &local);
    return time_text(local, ' ', time_ms) + " " + zone_offset(local).text;
}

template <class Value>
void member_or_null(JsonWriter& json, std::string_view name, bool known, const Value& value) {
    json.key(name);
    known ? json.value(value) : json.null();
}

}  // namespace

const char* to_text(EventKind kind) noexcept {
    // No default: the compiler then names a kind that was forgotten here.
    switch (kind) {
        case EventKind::start:
            return "start";
        case EventKind::ready:
            return "ready";
        case EventKind::worker_started:
            return "worker_started";
        case EventKind::worker_ready:
            return "worker_ready";
        case EventKind::worker_killed:
            return "worker_killed";
        case EventKind::worker_death:
            return "worker_death";
        case EventKind::worker_exit:
            return "worker_exit";
        case EventKind::back_off:
            return "back_off";
        case EventKind::given_up:
            return "given_up";
        case EventKind::standstill:
            return "standstill";
        case EventKind::replacement:
            return "replacement";
        case EventKind::handover:
            return "handover";
        case EventKind::resize:
            return "resize";
        case EventKind::reload_started:
            return "reload_started";
        case EventKind::reload_change:
            return "reload_change";
        case EventKind::reload_verdict:
            return "reload_verdict";
        case EventKind::probation:
            return "probation";
        case EventKind::rollback:
            return "rollback";
        case EventKind::stop:
            return "stop";
        case EventKind::log_files:
            return "log_files";
        case EventKind::trouble:
            return "trouble";
    }
    return "unknown";
}

std::string event_json(const Event& event) {
    JsonWriter json;
    json.begin_object();
    json.member("number", event.number);
    json.member("time", utc_text(event.time_ms));
    json.member("event", to_text(event.kind));
    json.member("level", to_text(event.level));
    member_or_null(json, "pool", !event.pool.empty(), event.pool);
    member_or_null(json, "slot", event.slot >= 0, event.slot);
    member_or_null(json, "pid", event.pid != 0, event.pid);
    member_or_null(json, "generation", event.generation != 0, event.generation);
    json.member("text", event.text);
    json.end_object();
    return json.take();
}

std::string event_text(const Event& event) {
    std::string about = event.pool.empty() ? "master" : event.pool;
    if (event.slot >= 0) about += fmt::format("/{}", event.slot);
    return fmt::format("{} [{}] {}: {}", local_text(event.time_ms), to_text(event.level), about, event.text);
}

void EventLog::record(EventKind kind, LogLevel level, const EventSubject& subject, std::string_view text) {
    log_.write(level, text,
               {.event = to_text(kind),
                .pool = subject.pool,
                .slot = subject.slot,
                .pid = subject.pid,
                .generation = subject.generation});
    const std::size_t place = last_number_ % capacity;
    if (place == ring_.size()) ring_.emplace_back();
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    Event& event = ring_[place];
    event.number = ++last_number_;
    event.time_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    event.kind = kind;
    event.level = level;
    event.pool = subject.pool;
    event.slot = subject.slot;
    event.pid = subject.pid;
    event.generation = subject.generation;
    line_.begin(max_text);
    line_.append_escaped(text, TextEscape::text);
    event.text = line_.line();
    for (const EventSubscription* const subscription : subscriptions_)
        subscription->handler_();
}

const Event* EventLog::next_after(std::uint64_t number) const noexcept {
    if (number >= last_number_) return nullptr;
    const std::uint64_t oldest = last_number_ - ring_.size() + 1;
    return &ring_[(std::max(number + 1, oldest) - 1) % capacity];
}

EventSubscription::EventSubscription(EventLog& log, Handler handler) : log_(log), handler_(handler) {
    log_.subscriptions_.push_back(this);
}

EventSubscription::~EventSubscription() {
    std::erase(log_.subscriptions_, this);
}

}  // namespace drover
