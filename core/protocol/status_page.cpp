#include "core/protocol/status_page.h"

#include "core/memory/sequence_lock.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <type_traits>

namespace drover {

// Padding would carry whatever the stack held into shared memory.
static_assert(std::has_unique_object_representations_v<MasterStatus> && sizeof(MasterStatus) % 8 == 0);
static_assert(std::has_unique_object_representations_v<WorkerStatus> && sizeof(WorkerStatus) % 8 == 0);
static_assert(sizeof(StatusPage) % 8 == 0);

namespace {

template <std::size_t Size>
void end_text(char (&text)[Size]) {
    text[Size - 1] = '\0';
}

}  // namespace

const char* to_text(MasterState state) noexcept {
    switch (state) {
        case MasterState::starting:
            return "starting";
        case MasterState::running:
            return "running";
        case MasterState::reloading:
            return "reloading";
        case MasterState::degraded:
            return "degraded";
        case MasterState::stopping:
            return "stopping";
    }
    return "unknown";
}

const char* to_text(WorkerState state) noexcept {
    switch (state) {
        case WorkerState::none:
            return "none";
        case WorkerState::starting:
            return "starting";
        case WorkerState::serving:
            return "serving";
        case WorkerState::draining:
            return "draining";
        case WorkerState::backing_off:
            return "backing_off";
    }
    return "unknown";
}

const char* to_text(ReloadResult result) noexcept {
    switch (result) {
        case ReloadResult::none:
            return "none";
        case ReloadResult::ok:
            return "ok";
        case ReloadResult::refused:
            return "refused";
        case ReloadResult::rolled_back:
            return "rolled_back";
    }
    return "unknown";
}

std::size_t StatusPage::size_for(std::uint32_t lines) noexcept {
    return sizeof(StatusPage) + sizeof(MasterStatus) + std::size_t{lines} * sizeof(WorkerStatus);
}

StatusPage& StatusPage::create(void* memory, std::uint32_t lines) noexcept {
    auto* page = new (memory) StatusPage;
    page->capacity_ = lines;
    page->worker_stride_ = sizeof(WorkerStatus);
    page->workers_offset_ = sizeof(StatusPage) + sizeof(MasterStatus);
    page->master_size_ = sizeof(MasterStatus);
    return *page;
}

void StatusWriter::write(const MasterStatus& master,
                         const std::vector<WorkerStatus>& workers) const noexcept {
    MasterStatus cut = master;
    cut.worker_count = static_cast<std::uint32_t>(std::min<std::size_t>(workers.size(), lines_));
    const SequenceWrite change(page_.sequence_);
    auto* const bytes = reinterpret_cast<std::byte*>(&page_);
    store_words(bytes + sizeof(StatusPage), &cut, sizeof cut);
    store_words(bytes + StatusPage::size_for(0), workers.data(), cut.worker_count * sizeof(WorkerStatus));
}

StatusSnapshot StatusPage::read(std::size_t size) const {
    if (size < size_for(0)) throw std::runtime_error("status page: its layout is damaged");
    // Read once: what is checked is what is used.
    StatusPage page;
    load_words(&page, this, sizeof page);
    const std::size_t stride = page.worker_stride_;
    const std::size_t offset = page.workers_offset_;
    if (page.master_size_ < sizeof(MasterStatus) || stride < sizeof(WorkerStatus) || stride % 8 != 0 ||
        offset < size_for(0) || offset % 8 != 0 || offset > size) {
        throw std::runtime_error("status page: its layout is damaged");
    }
    const std::size_t lines = std::min<std::size_t>(page.capacity_, (size - offset) / stride);
    const auto* bytes = reinterpret_cast<const std::byte*>(this);
    StatusSnapshot snapshot;
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        const std::uint64_t before = sequence_.load(std::memory_order_acquire);
        if (before % 2 != 0) continue;
        load_words(&snapshot.master, bytes + sizeof(StatusPage), sizeof snapshot.master);
        const std::size_t count = std::min<std::size_t>(snapshot.master.worker_count, lines);
        snapshot.workers.resize(count);
        for (std::size_t line = 0; line < count; ++line) {
            load_words(&snapshot.workers[line], bytes + offset + line * stride, sizeof(WorkerStatus));
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (sequence_.load(std::memory_order_relaxed) != before) continue;

        snapshot.master.worker_count = static_cast<std::uint32_t>(count);
        end_text(snapshot.master.last_reload_error);
        end_text(snapshot.master.version);
        for (WorkerStatus& worker : snapshot.workers) {
            end_text(worker.pool);
            for (WorkerDeath& death : worker.recent_deaths)
                end_text(death.reason);
        }
        return snapshot;
    }
    throw std::runtime_error(
        "status page: no consistent copy (its master died in mid-write, or never stops)");
}

std::optional<std::int64_t> silent_ms(const WorkerStatus& worker, std::int64_t now_ms) noexcept {
    constexpr std::int64_t shortest_ms = 1000;
    if (worker.pid == 0 || worker.heartbeat_ms == 0) return std::nullopt;
    const std::int64_t age_ms = std::max<std::int64_t>(now_ms - worker.heartbeat_ms, 0);
    const std::int64_t reports_ms = silent_after_reports * std::int64_t{worker.report_interval_ms};
    const bool missed = age_ms > std::max(reports_ms, shortest_ms);
    return missed || worker.stands_still != 0 ? std::optional(age_ms) : std::nullopt;
}

}  // namespace drover
