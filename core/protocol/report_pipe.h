// The pipe on which a worker reports its heartbeat and load to the master: fixed-size records below PIPE_BUF,
// so each is written whole or not at all (pipe(7)). The worker never blocks on it: a full pipe drops the
// record and counts it. End-of-file means that the worker is gone. Runs in: worker (ReportWriter), master
// (ReportReader).
#pragma once

#include "core/base/unique_fd.h"
#include "core/loop/event_loop.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace drover {

// That may be alive in one worker beside the one it serves.
inline constexpr std::size_t max_older_generations = 63;

struct Report {
    static constexpr std::uint32_t expected_magic = 0x52505433;  // "RPT3"

    std::uint32_t magic = expected_magic;
    std::uint32_t state = 0;        // core/protocol/status_page.h: WorkerState
    std::uint64_t heartbeat = 0;    // number of this report, from 1
    std::int64_t time_ms = 0;       // CLOCK_MONOTONIC
    std::uint64_t connections = 0;  // open now
    std::uint64_t accepted = 0;     // since the worker started
    std::uint64_t loop_lag_us = 0;  // the largest lag of the event loop in the interval
    std::uint64_t cpu_us = 0;       // user and system time since the worker started
    std::uint64_t resident_bytes = 0;
    std::uint64_t dropped = 0;           // reports that found the pipe full, ever
    std::uint64_t generation = 0;        // that the worker serves
    std::uint32_t older_count = 0;       // of `older`
    std::uint32_t return_addresses = 0;  // of datagrams, that modules keep
    std::uint32_t full = 0;              // 1: it holds max_connections; new ones had better go elsewhere
    std::uint32_t reserved = 0;
    std::uint64_t older[max_older_generations] = {};  // that something in the worker may still count for
};
static_assert(sizeof(Report) == 600);

// Both ends, close-on-exec and non-blocking: {read, write}. Throws std::system_error.
std::pair<UniqueFd, UniqueFd> make_report_pipe();

class ReportWriter {
  public:
    explicit ReportWriter(UniqueFd pipe) noexcept : pipe_(std::move(pipe)) {}
    // Fills in heartbeat and dropped. False when the pipe was full or has no reader.
    bool send(Report report) noexcept;

  private:
    UniqueFd pipe_;
    std::uint64_t heartbeat_ = 0;
    std::uint64_t dropped_ = 0;
};

class ReportReader {
  public:
    using ReportHandler = Callback<void(const Report&)>;
    // `reason` is "end of file" or what was wrong with a record; nothing is delivered afterwards. Both
    // handlers may destroy the reader.
    using EndHandler = Callback<void(const char* reason)>;

    ReportReader(EventLoop& loop, UniqueFd pipe, ReportHandler on_report, EndHandler on_end);
    ~ReportReader();
    ReportReader(const ReportReader&) = delete;
    ReportReader& operator=(const ReportReader&) = delete;

  private:
    struct DestructionNote;

    void on_ready(Readiness readiness);
    void end(const char* reason);

    UniqueFd pipe_;
    FdWatch watch_;
    ReportHandler on_report_;
    EndHandler on_end_;
    DestructionNote* note_ = nullptr;  // while handlers run
};

}  // namespace drover
