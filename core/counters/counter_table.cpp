#include "core/counters/counter_table.h"

#include "core/base/check.h"
#include "core/base/system_error.h"
#include "core/memory/sequence_lock.h"

#include <algorithm>
#include <new>

#include <fcntl.h>

namespace drover {

namespace {

void seal(int fd, int seals, const char* what) {
    check_call(::fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SHRINK | F_SEAL_GROW), "fcntl", what);
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
    // From here on this mapping is the only one that can ever write: not even a process of the same user,
    // which can open the read-only descriptor again, gets another.
    seal(fd_.get(), F_SEAL_FUTURE_WRITE | F_SEAL_SEAL, "F_ADD_SEALS on the counter table");
    read_only_fd_ = reopen_read_only(fd_.get());
}

// Without pages of its own a store into a full tmpfs would be a SIGBUS, here or in a worker.
void CounterTable::reserve(std::uint32_t columns, std::uint32_t cells) {
    constexpr std::string_view what = "counter columns";
    if (columns > columns_.size()) {
        reserve_memory(fd_.get(), layout_.columns_offset, std::uint64_t{columns} * layout_.column_stride,
                       what);
        reserve_memory(fd_.get(), layout_.texts_offset, std::uint64_t{columns} * layout_.text_stride, what);
    }
    if (cells <= totals_.size()) return;
    for (const std::uint64_t offset : layout_.totals_offset)
        reserve_memory(fd_.get(), offset, cells * sizeof(std::uint64_t), what);
    for (const Row& row : rows_) {
        if (row.instance != 0) reserve_memory(row.fd.get(), 0, cells * sizeof(std::uint64_t), what);
    }
}

StatusWriter CounterTable::status() noexcept {
    return {*view_.at<StatusPage>(layout_.status_offset), layout_.row_count};
}

std::optional<std::uint32_t> CounterTable::take_row(const RowOwner& owner) {
    DROVER_CHECK(owner.instance != 0);
    const auto index =
        static_cast<std::uint32_t>(std::ranges::find(rows_, 0U, &Row::instance) - rows_.begin());
    if (index >= layout_.row_count) return std::nullopt;
    Row row{.instance = owner.instance,
            .generation = owner.generation,
            .taken_at = columns_sequence_,
            .order = rows_sequence_ + 1,
            .fd = create_memfd("drover-row", layout_.row_size, false),
            .memory = {},
            .older = {}};
    reserve_memory(row.fd.get(), 0, std::max<std::size_t>(totals_.size(), 1) * sizeof(std::uint64_t),
                   "counter row");
    seal(row.fd.get(), 0, "F_ADD_SEALS on a counter row");  // its worker adds the others
    row.memory = std::make_shared<const Mapping>(map_shared_read_only(row.fd.get(), 0, layout_.row_size));
    row.memory->keep_from_children();

    RowEntry& entry = view_.row_entry(index);
    char pool[sizeof entry.pool] = {};
    copy_text(pool, owner.pool);
    store_words(entry.pool, pool, sizeof pool);
    entry.generation.store(owner.generation, std::memory_order_relaxed);
    entry.taken_at.store(row.taken_at, std::memory_order_relaxed);
    entry.slot.store(owner.slot, std::memory_order_relaxed);
    entry.pid.store(0, std::memory_order_relaxed);
    if (index == rows_.size()) rows_.emplace_back();
    rows_[index] = std::move(row);
    entry.instance.store(owner.instance, std::memory_order_release);
    count_rows_change();
    return index;
}

void CounterTable::count_rows_change() noexcept {
    view_.header().rows_sequence.store(++rows_sequence_, std::memory_order_release);
}

int CounterTable::row_fd(std::uint32_t row) const {
    DROVER_CHECK(row < rows_.size() && rows_[row].instance != 0);
    return rows_[row].fd.get();
}

std::vector<std::uint32_t> CounterTable::taken_after(std::uint64_t sequence) const {
    std::vector<std::uint32_t> taken;
    for (std::uint32_t index = 0; index < rows_.size(); ++index) {
        if (rows_[index].instance != 0 && rows_[index].order > sequence) taken.push_back(index);
    }
    std::ranges::sort(taken, {}, [this](std::uint32_t index) { return rows_[index].order; });
    return taken;
}

RowBatch CounterTable::rows_after(std::uint64_t sequence) const {
    std::vector<std::uint32_t> wanted = taken_after(sequence);
    RowBatch batch{.sequence = rows_sequence_, .rows = {}};
    if (wanted.size() > RowBatch::most_rows) {
        wanted.resize(RowBatch::most_rows);
        batch.sequence = rows_[wanted.back()].order;
    }
    for (const std::uint32_t index : wanted) {
        const Row& row = rows_[index];
        batch.rows.push_back({{row.order, row.instance, index, 0}, reopen_read_only(row.fd.get())});
    }
    return batch;
}

RowSource CounterTable::row_source() const {
    return [this](std::uint64_t after) {
        RowBatch batch{.sequence = rows_sequence_, .rows = {}};
        for (const std::uint32_t index : taken_after(after)) {
            const Row& row = rows_[index];
            batch.rows.push_back({{row.order, row.instance, index, 0}, UniqueFd(), row.memory});
        }
        return batch;
    };
}

void CounterTable::set_row_pid(std::uint32_t row, std::uint32_t pid) noexcept {
    DROVER_CHECK(row < rows_.size());
    view_.row_entry(row).pid.store(pid, std::memory_order_relaxed);
}

void CounterTable::set_row_generation(std::uint32_t row, std::uint64_t generation) {
    DROVER_CHECK(row < rows_.size());
    rows_[row].older.push_back(rows_[row].generation);
    rows_[row].generation = generation;
    view_.row_entry(row).generation.store(generation, std::memory_order_relaxed);
}

void CounterTable::set_older_generations(std::uint32_t row, std::uint64_t generation,
                                         std::span<const std::uint64_t> older) {
    DROVER_CHECK(row < rows_.size());
    if (rows_[row].generation != generation) return;
    rows_[row].older.assign(older.begin(), older.end());
}

void CounterTable::fold(std::uint32_t row) noexcept {
    DROVER_CHECK(row < layout_.row_count);
    if (row >= rows_.size() || rows_[row].instance == 0) return;
    const Row dead = std::exchange(rows_[row], {});
    RowEntry& entry = view_.row_entry(row);
    std::uint64_t* const new_totals = view_.totals(++fold_);
    // A reader may still add up what these totals held before the last flip: should it see one word of the
    // new, then its second look at the fold number must show that flip.
    std::atomic_thread_fence(std::memory_order_release);
    for (const KnownColumn& column : columns_) {
        if (column.state == ColumnState::free) continue;
        const bool counts = column.kind != CounterKind::gauge;
        for (std::uint32_t cell = column.cells.first; cell < column.cells.first + column.cells.count;
             ++cell) {
            if (counts) totals_[cell] += load_cell(dead.cell(cell));
            store_cell(new_totals[cell], totals_[cell]);
        }
    }
    entry.folded.store(fold_, std::memory_order_release);
    view_.header().fold.store(fold_, std::memory_order_release);
    // Likewise: a reader that sees the freed entry must see this flip and try again.
    std::atomic_thread_fence(std::memory_order_release);
    entry.instance.store(0, std::memory_order_release);
    entry.folded.store(0, std::memory_order_release);
    count_rows_change();
}

}  // namespace drover
