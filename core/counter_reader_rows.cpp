// What single workers have counted: their rows of the table.
#include "core/counter_reader.h"
#include "core/sequence_lock.h"

namespace drover {

std::optional<std::uint32_t> CounterReader::row_of(std::uint64_t instance) const noexcept {
    if (instance == 0) return std::nullopt;
    const std::uint32_t rows = view_.rows_used();
    for (std::uint32_t row = 0; row < rows; ++row) {
        if (instance_of(row) == instance) return row;
    }
    return std::nullopt;
}

// Whether what was read of the row so far was the instance's.
bool CounterReader::was_of(std::uint32_t row, std::uint64_t instance) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    const RowEntry& entry = view_.row_entry(row);
    // The mark first: once it is taken away the instance is gone as well.
    const bool marked = entry.folded.load(std::memory_order_acquire) != 0;
    return !marked && entry.instance.load(std::memory_order_relaxed) == instance;
}

// Comes after was_of, whose fence it needs.
bool CounterReader::still(std::uint64_t sequence) const noexcept {
    return view_.header().columns_sequence.load(std::memory_order_relaxed) == sequence;
}

std::optional<std::uint64_t> CounterReader::value_of(std::uint64_t instance, std::string_view name) const {
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        const Found plain = find_plain(name);
        const std::optional<std::uint32_t> row = row_of(instance);
        if (!plain.column || !row) return std::nullopt;
        const std::uint64_t value = load_cell(view_.cells(*row)[plain.column->cells.first]);
        const std::uint64_t taken_at = view_.row_entry(*row).taken_at.load(std::memory_order_relaxed);
        if (!was_of(*row, instance)) return std::nullopt;
        if (still(plain.sequence))
            return plain.column->reused_at <= taken_at ? std::optional(value) : std::nullopt;
    }
    give_up();
}

std::size_t CounterReader::live_rows() const noexcept {
    std::size_t count = 0;
    const std::uint32_t rows = view_.rows_used();
    for (std::uint32_t row = 0; row < rows; ++row)
        count += instance_of(row) != 0 ? 1U : 0U;
    return count;
}

CounterReader::WorkerRows CounterReader::worker_rows(const WantedColumns& wanted) const {
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        LiveColumns live = live_columns();
        WorkerRows rows;
        std::vector<CellRange> ranges;
        for (std::size_t i = 0; i < live.sums.size(); ++i) {
            if (!wanted(live.sums[i])) continue;
            rows.columns.push_back(std::move(live.sums[i]));
            rows.places.push_back({rows.row_size, live.cells[i].count, live.reused_at[i]});
            rows.row_size += live.cells[i].count;
            ranges.push_back(live.cells[i]);
        }
        const std::vector<CellRange> runs = joined(ranges);
        const std::uint32_t used = view_.rows_used();
        rows.cells.reserve(rows.row_size * live_rows());
        for (std::uint32_t row = 0; row < used; ++row)
            add_row(row, runs, rows);
        std::atomic_thread_fence(std::memory_order_acquire);
        if (still(live.sequence)) return rows;
    }
    give_up();
}

// Nothing when it is no worker's, or was not all the while.
void CounterReader::add_row(std::uint32_t row, std::span<const CellRange> runs, WorkerRows& rows) const {
    const RowEntry& entry = view_.row_entry(row);
    const std::uint64_t instance = instance_of(row);
    std::uint64_t pool = 0;
    load_words(&pool, entry.pool, sizeof pool);
    if (instance == 0 || pool == 0) return;
    const std::size_t before = rows.cells.size();
    const std::uint64_t* const cells = view_.cells(row);
    rows.cells.resize(before + rows.row_size);
    std::uint64_t* to = rows.cells.data() + before;
    for (const CellRange& run : runs) {
        for (const std::uint64_t* cell = cells + run.first; cell != cells + run.first + run.count; ++cell)
            *to++ = load_cell(*cell);
    }
    const std::uint64_t taken_at = entry.taken_at.load(std::memory_order_relaxed);
    if (was_of(row, instance))
        rows.rows.push_back({instance, taken_at});
    else
        rows.cells.resize(before);
}

std::vector<CounterReader::WorkerValue> CounterReader::each_worker(std::string_view name) const {
    for (unsigned tries = 0; tries < read_tries; pause_before_retry(++tries)) {
        const Found plain = find_plain(name);
        std::vector<WorkerValue> values;
        if (!plain.column) return values;
        const std::uint32_t rows = view_.rows_used();
        for (std::uint32_t row = 0; row < rows; ++row) {
            if (auto value = worker_value(row, *plain.column)) values.push_back(std::move(*value));
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        if (still(plain.sequence)) return values;
    }
    give_up();
}

std::optional<CounterReader::WorkerValue> CounterReader::worker_value(std::uint32_t row,
                                                                      const FoundColumn& column) const {
    const RowEntry& entry = view_.row_entry(row);
    WorkerValue value;
    value.instance = instance_of(row);
    if (value.instance == 0) return std::nullopt;
    char pool[sizeof entry.pool];
    load_words(pool, entry.pool, sizeof pool);
    value.pool = bounded_text(pool);
    value.slot = entry.slot.load(std::memory_order_relaxed);
    value.pid = entry.pid.load(std::memory_order_relaxed);
    value.generation = entry.generation.load(std::memory_order_relaxed);
    value.value = static_cast<std::int64_t>(load_cell(view_.cells(row)[column.cells.first]));
    const bool known = column.reused_at <= entry.taken_at.load(std::memory_order_relaxed);
    if (!was_of(row, value.instance) || value.pool.empty() || !known) return std::nullopt;
    return value;
}

}  // namespace drover
