// The status page: what the master says of itself and its workers, in the counter table's memory, so that
// whoever may read the table can show status without asking the master. One writer (the master), any number
// of readers: a sequence lock over plain words. A reader retries a bounded number of times (a master may die
// in mid-write) and then says so. Runs in: master (writes), every process (reads).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace drover {

enum class MasterState : std::uint32_t { starting = 0, running, reloading, degraded, stopping };
enum class WorkerState : std::uint32_t { none = 0, starting, serving, draining, backing_off };
enum class ReloadResult : std::uint32_t { none = 0, ok, refused, rolled_back };

const char* to_text(MasterState state) noexcept;
const char* to_text(WorkerState state) noexcept;
const char* to_text(ReloadResult result) noexcept;

// Times are CLOCK_MONOTONIC milliseconds unless they say otherwise.
struct MasterStatus {
    std::uint32_t pid = 0;
    MasterState state = MasterState::starting;
    std::uint64_t generation = 0;
    std::int64_t started_ms = 0;
    std::int64_t started_unix_s = 0;
    ReloadResult last_reload = ReloadResult::none;
    std::uint32_t worker_count = 0;  // lines in use, from the first
    std::uint64_t last_reload_generation = 0;
    std::int64_t last_reload_ms = 0;      // when it came to its verdict
    std::int64_t probation_until_ms = 0;  // 0: the generation is not on probation
    char last_reload_error[512] = {};
    char version[32] = {};  // of Drover
    char program[64] = {};  // core/base/program.h
    char program_version[32] = {};
};

// How a worker of the slot ended that nobody had told to leave.
struct WorkerDeath {
    std::int64_t time_ms = 0;  // 0: none
    char reason[88] = {};
};

struct WorkerStatus {
    static constexpr std::size_t most_deaths = 3;

    char pool[64] = {};
    std::uint32_t slot = 0;
    std::uint32_t pid = 0;
    std::uint64_t instance = 0;  // finds its row in the table; 0 while there is no process
    std::uint64_t generation = 0;
    WorkerState state = WorkerState::none;
    std::uint32_t restarts = 0;            // of the slot, since its pool started, deaths and planned ones
    std::uint32_t deaths = 0;              // of them
    std::uint32_t report_interval_ms = 0;  // it is heard of so often when it is well
    std::uint32_t stands_still = 0;        // 1: stopped by a signal, or known to hang, whatever `state` says
    std::uint32_t reserved = 0;
    std::int64_t started_ms = 0;       // of the process
    std::int64_t heartbeat_ms = 0;     // when the last report arrived; 0: none yet
    std::int64_t next_attempt_ms = 0;  // while backing off; 0: given up until the next reload
    std::int64_t leaves_by_ms = 0;     // while draining; 0: no limit
    std::uint64_t connections = 0;     // as last reported
    std::uint64_t accepted = 0;
    std::uint64_t loop_lag_us = 0;
    std::uint64_t cpu_us = 0;
    std::uint64_t resident_bytes = 0;
    std::uint64_t dropped_reports = 0;
    WorkerDeath recent_deaths[most_deaths] = {};  // of the slot, the newest first
};

// A consistent copy.
struct StatusSnapshot {
    MasterStatus master;
    std::vector<WorkerStatus> workers;
};

class StatusPage {
  public:
    // How many bytes a page of `lines` worker lines takes.
    static std::size_t size_for(std::uint32_t lines) noexcept;
    // Prepares zeroed memory of size_for(lines).
    static StatusPage& create(void* memory, std::uint32_t lines) noexcept;

    // How many reloads have succeeded, those included that changed nothing: whoever remembers what lies
    // outside of the configuration (an open file) forgets it when this has changed. It has before anybody is
    // told.
    std::uint64_t reloads() const noexcept { return reloads_.load(std::memory_order_acquire); }

    // Throws std::runtime_error when the page stayed torn for the bounded number of tries. `size` bounds
    // every access.
    StatusSnapshot read(std::size_t size) const;

  private:
    friend class StatusWriter;

    std::atomic<std::uint64_t> sequence_{0};
    std::uint32_t capacity_ = 0;
    std::uint32_t worker_stride_ = 0;
    std::uint32_t workers_offset_ = 0;
    std::uint32_t master_size_ = 0;
    std::atomic<std::uint64_t> reloads_{0};
    // MasterStatus, then WorkerStatus[capacity_]
};

// The master's side of a page that StatusPage::create has made: it goes by what it was told then, and by
// nothing that it finds there.
class StatusWriter {
  public:
    StatusWriter(StatusPage& page, std::uint32_t lines) noexcept : page_(page), lines_(lines) {}

    void write(const MasterStatus& master,
               const std::vector<WorkerStatus>& workers) const noexcept;  // whole, cut at so many lines
    void count_reload() const noexcept { page_.reloads_.fetch_add(1, std::memory_order_release); }

  private:
    StatusPage& page_;
    std::uint32_t lines_;
};

// Since when nothing was heard of a worker that is silent: it has missed so many of its pool's
// report_interval and at least a second, or the master knows that it stands still. Its own words are as old
// as that, also that it serves. No value: it is heard of, or has not reported yet. `now_ms` is
// CLOCK_MONOTONIC.
inline constexpr std::int64_t silent_after_reports = 3;
std::optional<std::int64_t> silent_ms(const WorkerStatus& worker, std::int64_t now_ms) noexcept;

}  // namespace drover
