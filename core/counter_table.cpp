#include "core/counter_table.h"

#include "core/check.h"
#include "core/sequence_lock.h"
#include "core/system_error.h"

#include <algorithm>
#include <new>

#include <fcntl.h>

namespace drover {

namespace {

void reserve_memory(int fd, std::uint64_t offset, std::uint64_t size, std::string_view what) {
    int error = EINTR;
    while (error == EINTR) {
        error = ::posix_fallocate(fd, static_cast<off_t>(offset), static_cast<off_t>(size));
    }
    if (error != 0) throw_error(error, "posix_fallocate", what);
}

}  // namespace

CounterTable::CounterTable(CounterCapacity capacity)
    : layout_(plan_layout(capacity.cells, capacity.rows)), view_(nullptr, layout_) {
    fd_ = create_memfd("drover-counters", layout_.total_size, false);
    reserve_memory(fd_.get(), 0, layout_.columns_offset, "counter table");
    mapping_ = map_shared_writable(fd_.get(), 0, layout_.total_size);
    mapping_.keep_from_children();
    view_ = TableView<std::byte>(mapping_.data(), layout_);
    auto* header = new (mapping_.data()) TableHeader;
    header->layout = layout_;
    StatusPage::create(view_.at<std::byte>(layout_.status_offset), layout_.row_count);
    check_call(::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "fcntl",
               "F_ADD_SEALS on the counter table");
    read_only_fd_ = reopen_read_only(fd_.get());
}

// Without pages of its own a store into a full tmpfs would be a SIGBUS, here or in a worker.
void CounterTable::reserve(std::uint32_t columns, std::uint32_t cells) {
    constexpr std::string_view what = "counter columns";
    if (columns > columns_used_) {
        reserve_memory(fd_.get(), layout_.columns_offset, std::uint64_t{columns} * layout_.column_stride,
                       what);
        reserve_memory(fd_.get(), layout_.texts_offset, std::uint64_t{columns} * layout_.text_stride, what);
    }
    if (cells <= cells_used_) return;
    for (const std::uint64_t offset : layout_.totals_offset)
        reserve_memory(fd_.get(), offset, cells * sizeof(std::uint64_t), what);
    for (std::uint32_t row = 0; row < layout_.row_count; ++row) {
        if (view_.row_entry(row).instance.load(std::memory_order_relaxed) == 0) continue;
        reserve_memory(fd_.get(), view_.row_offset(row), cells * sizeof(std::uint64_t), what);
    }
}

StatusPage& CounterTable::status() noexcept {
    return *view_.at<StatusPage>(layout_.status_offset);
}

std::optional<std::uint32_t> CounterTable::take_row(const RowOwner& owner) {
    DROVER_CHECK(owner.instance != 0);
    for (std::uint32_t row = 0; row < layout_.row_count; ++row) {
        RowEntry& entry = view_.row_entry(row);
        if (entry.instance.load(std::memory_order_relaxed) != 0) continue;
        const std::uint64_t size = std::max(cells_used_, std::uint32_t{1}) * sizeof(std::uint64_t);
        reserve_memory(fd_.get(), view_.row_offset(row), size, "counter row");
        clean_row(row);
        char pool[sizeof entry.pool] = {};
        copy_text(pool, owner.pool);
        store_words(entry.pool, pool, sizeof pool);
        entry.generation.store(owner.generation, std::memory_order_relaxed);
        entry.taken_at.store(view_.header().columns_sequence.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
        older_.resize(std::max<std::size_t>(older_.size(), row + 1));
        older_[row].clear();
        entry.slot.store(owner.slot, std::memory_order_relaxed);
        entry.pid.store(0, std::memory_order_relaxed);
        const std::uint32_t used = std::max(view_.rows_used(), row + 1);
        view_.header().rows_used.store(used, std::memory_order_relaxed);
        entry.instance.store(owner.instance, std::memory_order_release);
        return row;
    }
    return std::nullopt;
}

void CounterTable::set_row_pid(std::uint32_t row, std::uint32_t pid) noexcept {
    DROVER_CHECK(row < layout_.row_count);
    view_.row_entry(row).pid.store(pid, std::memory_order_relaxed);
}

void CounterTable::set_row_generation(std::uint32_t row, std::uint64_t generation) {
    DROVER_CHECK(row < older_.size());
    std::atomic<std::uint64_t>& current = view_.row_entry(row).generation;
    older_[row].push_back(current.load(std::memory_order_relaxed));
    current.store(generation, std::memory_order_relaxed);
}

void CounterTable::set_older_generations(std::uint32_t row, std::uint64_t generation,
                                         std::span<const std::uint64_t> older) {
    DROVER_CHECK(row < older_.size());
    if (view_.row_entry(row).generation.load(std::memory_order_relaxed) != generation) return;
    older_[row].assign(older.begin(), older.end());
}

void CounterTable::fold(std::uint32_t row) noexcept {
    DROVER_CHECK(row < layout_.row_count);
    RowEntry& entry = view_.row_entry(row);
    if (entry.instance.load(std::memory_order_relaxed) == 0) return;
    std::atomic<std::uint64_t>& fold = view_.header().fold;
    const std::uint64_t before = fold.load(std::memory_order_acquire);
    const std::uint64_t* old_totals = view_.totals(before);
    std::uint64_t* new_totals = view_.totals(before + 1);
    // A reader may still add up what these totals held before the last flip: should it see one word of the
    // new, then its second look at the fold number must show that flip.
    std::atomic_thread_fence(std::memory_order_release);
    for (std::uint32_t index = 0; index < columns_used_; ++index) {
        const Column& column = view_.column(index);
        if (column_state(column) == ColumnState::free) continue;
        const bool counts = column_kind(column) != CounterKind::gauge;
        const CellRange cells = column_cells(column, layout_.cell_count);
        for (std::uint32_t cell = cells.first; cell < cells.first + cells.count; ++cell) {
            const std::uint64_t counted = counts ? load_cell(view_.cells(row)[cell]) : 0;
            store_cell(new_totals[cell], load_cell(old_totals[cell]) + counted);
        }
    }
    entry.folded.store(before + 1, std::memory_order_release);
    fold.store(before + 1, std::memory_order_release);
    // Likewise: a reader that sees a zeroed cell or the freed row must see this flip and try again.
    std::atomic_thread_fence(std::memory_order_release);
    clean_row(row);
}

// In this order: a reader that finds `folded` 0 again finds zeroed cells with it, whatever it saw of
// `instance`.
void CounterTable::clean_row(std::uint32_t row) noexcept {
    RowEntry& entry = view_.row_entry(row);
    for (std::uint32_t cell = 0; cell < cells_used_; ++cell)
        store_cell(view_.cells(row)[cell], 0);
    entry.instance.store(0, std::memory_order_release);
    entry.folded.store(0, std::memory_order_release);
}

void CounterTable::finish_fold() noexcept {
    // Columns it was changing are free by now, or keep what they are (assign).
    if (view_.header().columns_sequence.load(std::memory_order_acquire) % 2 != 0) {
        const SequenceWrite change(view_.header().columns_sequence);
    }
    const std::uint64_t last = view_.header().fold.load(std::memory_order_acquire);
    std::atomic_thread_fence(std::memory_order_release);
    for (std::uint32_t row = 0; row < layout_.row_count; ++row) {
        const std::uint64_t folded = view_.row_entry(row).folded.load(std::memory_order_acquire);
        if (folded != 0 && folded <= last) clean_row(row);
    }
    // At most one row is marked above the last fold: each is flipped before the next is marked.
    for (std::uint32_t row = 0; row < layout_.row_count; ++row) {
        if (view_.row_entry(row).folded.load(std::memory_order_acquire) > last) fold(row);
    }
}

}  // namespace drover
