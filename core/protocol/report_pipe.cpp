#include "core/protocol/report_pipe.h"

#include "core/base/system_error.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>

namespace drover {

static_assert(sizeof(Report) <= PIPE_BUF, "a larger record could be written in part");

std::pair<UniqueFd, UniqueFd> make_report_pipe() {
    int ends[2];
    check_call(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), "pipe2", "for reports");
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

bool ReportWriter::send(Report report) noexcept {
    report.heartbeat = ++heartbeat_;
    report.dropped = dropped_;
    ssize_t written = 0;
    do {
        written = ::write(pipe_.get(), &report, sizeof report);
    } while (written < 0 && errno == EINTR);
    if (written == static_cast<ssize_t>(sizeof report)) return true;
    ++dropped_;
    return false;
}

ReportReader::ReportReader(EventLoop& loop, UniqueFd pipe, ReportHandler on_report, EndHandler on_end)
    : pipe_(std::move(pipe)), on_report_(on_report), on_end_(on_end) {
    watch_.start(loop, pipe_.get(), Interest::read, FdWatch::Handler::to<&ReportReader::on_ready>(this));
}

// Tells on_ready, also when a handler throws, whether its reader still lives.
struct ReportReader::DestructionNote {
    explicit DestructionNote(ReportReader& of) noexcept : reader(of) { reader.note_ = this; }
    ~DestructionNote() {
        if (!destroyed) reader.note_ = nullptr;
    }
    DestructionNote(const DestructionNote&) = delete;
    DestructionNote& operator=(const DestructionNote&) = delete;

    ReportReader& reader;
    bool destroyed = false;
};

ReportReader::~ReportReader() {
    if (note_ != nullptr) note_->destroyed = true;
}

void ReportReader::on_ready(Readiness) {
    // One read a round of the loop: a worker that floods its pipe gets no more of the master than this.
    std::array<Report, 32> records;
    const ssize_t size = ::read(pipe_.get(), records.data(), sizeof records);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR) end("read error");
        return;
    }
    if (size == 0) return end("end of file");

    const DestructionNote note(*this);
    const std::size_t whole = static_cast<std::size_t>(size) / sizeof(Report);
    for (std::size_t i = 0; i < whole; ++i) {
        if (records[i].magic != Report::expected_magic) return end("record with a wrong magic number");
        on_report_(records[i]);
        if (note.destroyed) return;
    }
    if (static_cast<std::size_t>(size) % sizeof(Report) != 0) end("partial record");
}

void ReportReader::end(const char* reason) {
    watch_.stop();
    pipe_.reset();
    on_end_(reason);
}

}  // namespace drover
