// EventLog is what the master has decided, and why. An event is said once: it goes to the log as a line and
// is kept, with the same words, among the last `capacity` in memory, where operators and observers read it.
// Owned by the Master, which gives it to its pools. Runs in: the master.
#pragma once

#include "core/base/callback.h"
#include "core/log/log.h"
#include "core/log/log_line.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace drover {

// What happened. The names (to_text) are part of what the program promises: more may come, none changes.
enum class EventKind : std::uint8_t {
    start,           // the master has its log
    ready,           // the first generation serves
    worker_started,  // a process was made for a slot
    worker_ready,    // it says that it can serve
    worker_killed,   // the master ends it, and why; its death follows
    worker_death,    // it ended otherwise than told to, and what comes next
    worker_exit,     // it ended as it was told to
    back_off,        // a slot waits before it is filled again
    given_up,        // a slot stays empty until the next reload
    standstill,      // a worker was stopped by a signal, or goes on
    replacement,     // a worker is replaced by another one on purpose, or could not be
    handover,        // how a worker that left handed its connections over
    resize,          // a pool has another size
    reload_started,
    reload_change,   // one difference of the new configuration
    reload_verdict,  // accepted, refused or rolled back; several when it was refused for several reasons
    probation,       // a new generation has passed its probation
    rollback,        // the way back from an unfit generation
    stop,            // the master stops
    log_files,       // reopened, or not
    trouble,         // something could not be done; the service goes on without it
};
const char* to_text(EventKind kind) noexcept;

// The pool, slot or worker that an event is about.
struct EventSubject {
    std::string_view pool = {};
    int slot = -1;                 // -1: none
    pid_t pid = 0;                 // 0: none
    std::uint64_t generation = 0;  // 0: none
};

struct Event {
    std::uint64_t number = 0;  // from 1, without gaps
    std::int64_t time_ms = 0;  // since 1970 (UTC)
    EventKind kind = EventKind::start;
    LogLevel level = LogLevel::info;
    std::string pool = {};
    int slot = -1;
    pid_t pid = 0;
    std::uint64_t generation = 0;
    std::string text = {};  // one line of UTF-8 without control characters, at most EventLog::max_text bytes
};

// One object on one line, without a newline: number, time ("2026-01-31T12:00:00.000Z"), event, level, pool,
// slot, pid, generation (null where the event has none), text.
std::string event_json(const Event& event);
// The same for people, in local time: "2026-01-31 13:00:00.000 +0100 [error] main/0: worker main/0 (pid 7)
// killed by signal 9 (SIGKILL); replaced at once"; "master" where the event is about no pool.
std::string event_text(const Event& event);

class EventLog {
  public:
    static constexpr std::size_t capacity = 1000;
    static constexpr std::size_t max_text = 2048;

    // `log` outlives it.
    explicit EventLog(Log& log) noexcept : log_(log) {}
    EventLog(const EventLog&) = delete;
    EventLog& operator=(const EventLog&) = delete;

    // Kept whatever the log's level is. A text that is too long is cut in memory, not in the log.
    void record(EventKind kind, LogLevel level, const EventSubject& subject, std::string_view text);
    void info(EventKind kind, const EventSubject& subject, std::string_view text) {
        record(kind, LogLevel::info, subject, text);
    }
    void warning(EventKind kind, const EventSubject& subject, std::string_view text) {
        record(kind, LogLevel::warning, subject, text);
    }
    void error(EventKind kind, const EventSubject& subject, std::string_view text) {
        record(kind, LogLevel::error, subject, text);
    }

    // Of the newest event; 0: there was none yet.
    std::uint64_t last_number() const noexcept { return last_number_; }
    std::size_t kept() const noexcept { return ring_.size(); }
    // The oldest event that is kept and newer than `number`; null: there is none. A reader needs no buffer of
    // its own: he remembers the number of what he has had last, and a gap to the next one is what he missed.
    // Valid until the next record().
    const Event* next_after(std::uint64_t number) const noexcept;

  private:
    friend class EventSubscription;

    Log& log_;
    std::vector<Event> ring_;  // event number n is at (n - 1) % capacity
    std::uint64_t last_number_ = 0;
    LogLine line_;
    std::vector<class EventSubscription*> subscriptions_;
};

// Tells `handler` that there is a new event, as long as it lives, which the log must outlive. An event may
// come in the middle of anything that the master does: a handler notes that there is something to do (starts
// a timer) and returns; it neither records nor begins or ends subscriptions.
class EventSubscription {
  public:
    using Handler = Callback<void()>;

    EventSubscription(EventLog& log, Handler handler);
    ~EventSubscription();
    EventSubscription(const EventSubscription&) = delete;
    EventSubscription& operator=(const EventSubscription&) = delete;

  private:
    friend class EventLog;

    EventLog& log_;
    Handler handler_;
};

}  // namespace drover
